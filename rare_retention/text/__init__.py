"""Natural text: documents, tokens, and the files that hold them."""
