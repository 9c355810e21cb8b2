"""Tokenises text into a folder of token files that runs read: corpus.path=FOLDER.

Example:
    python -m launch.prepare_corpus --source='text:books/*.txt' --vocabulary=4096 --output=corpora/x

Sources: stdlib (Python's own), text:GLOB (files, a document each), jsonl:GLOB (JSON lines, plain,
.gz or .zst, as Dolma has them), parquet:GLOB, hf:NAME[:CONFIG] (the package datasets),
array_record:GLOB (records of UTF-8), tfds:NAME[/CONFIG][:VERSION] (TensorFlow Datasets, without
TensorFlow). Running the same command again goes on where it was stopped, and makes files again that
are missing or damaged; of large files it reads a sample, with --verify all of them, and of the
source. A tokenizer that loses more of the text than --most_lost is refused.
"""

from absl import flags
from etils import epath

from launch import common
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.text.documents import open_documents
from rare_retention.text.losses import MOST_LOST
from rare_retention.text.preparation import SHARD_DOCUMENTS, prepare
from rare_retention.text.tokenizing import TRAIN_DOCUMENTS, Bpe, TokenizerFile, TokenizerSource
from rare_retention.wording import plural

_SOURCE = flags.DEFINE_string("source", None, "stdlib or KIND:WHAT, as above")
_OUTPUT = command_line.define_path("output", None, "folder of the corpus, local or gs://")
_TOKENIZER = command_line.define_path("tokenizer", None, "tokenizer.json; or else --vocabulary")
_VOCABULARY = flags.DEFINE_integer("vocabulary", None, "ids of a byte-level BPE that is trained")
_TRAIN_DOCUMENTS = flags.DEFINE_integer(
    "train_documents", TRAIN_DOCUMENTS, "documents that it is trained on at most", lower_bound=1
)
_END = flags.DEFINE_string(
    "end_of_document", "", "token of --tokenizer after each document, if it is not a usual one"
)
_SHARD_DOCUMENTS = flags.DEFINE_integer(
    "shard_documents", SHARD_DOCUMENTS, "documents of one token file", lower_bound=1
)
_VERIFY = flags.DEFINE_bool(
    "verify",
    False,
    "compare all bytes of a finished corpus, and of its source, with what was made",
    allow_override=True,  # launch.checkpoints has one of this name
)
_TEXT_KEY = flags.DEFINE_string("text_key", "text", "field, column or feature that holds the text")
_SPLIT = flags.DEFINE_string("split", "train", "split of a data set, such as train[:10%]")
_MOST_LOST = flags.DEFINE_float(
    "most_lost",
    MOST_LOST,
    "share of the characters of sampled documents that the tokenizer may lose",
    lower_bound=0.0,
    upper_bound=1.0,
)
_DATA_DIR = command_line.define_path(
    "data_dir", None, "folder of TFDS data sets, or TFDS's default"
)


def main(_: list[str]) -> int:
    """Prepares the corpus; returns the exit code."""
    common.quieten()
    try:
        return _prepare()
    except ImportError as error:  # of gs://, or of a source
        reason = " ".join(str(error).split())
        raise UserError(
            f"a package is missing: {reason}; the extra `documents` has those of zst, Parquet and "
            "hf, `gcs` that of gs://"
        ) from None
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the files that are finished")
        return common.INTERRUPTED


def _prepare() -> int:
    tokenizer = _tokenizer()
    documents = open_documents(
        _SOURCE.value or "",
        text_key=_TEXT_KEY.value,
        split=_SPLIT.value,
        data_dir=_DATA_DIR.value,
    )
    print(f"{documents.name}: {plural(len(documents), 'document')}")
    contents = prepare(
        documents,
        tokenizer,
        epath.Path(_OUTPUT.value),
        shard_documents=_SHARD_DOCUMENTS.value,
        verify=_VERIFY.value,
        most_lost=_MOST_LOST.value,
    )
    print(
        f"{_OUTPUT.value}: {contents.tokens:,} tokens of {contents.documents:,} documents in "
        f"{plural(len(contents.files), 'file')}, {contents.vocabulary:,} ids"
    )
    found = contents.references
    print(f"reference tasks in the text: {found.increase:,} increases, {found.sum:,} sums")
    return 0


def _tokenizer() -> TokenizerSource:
    if (_TOKENIZER.value is None) == (_VOCABULARY.value is None):
        raise UserError("give one of --tokenizer=FILE and --vocabulary=N")
    if _VOCABULARY.value is not None:
        return Bpe(_VOCABULARY.value, _TRAIN_DOCUMENTS.value)
    return TokenizerFile(epath.Path(_TOKENIZER.value), _END.value)


if __name__ == "__main__":
    flags.mark_flags_as_required(["source", "output"])
    command_line.run(main)
