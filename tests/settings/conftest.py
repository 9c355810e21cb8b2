"""A corpus of text in which the natural patterns stand."""

import pytest
from etils import epath

from rare_retention.text.documents import TextFiles
from rare_retention.text.preparation import prepare
from rare_retention.text.tokenizing import Bpe


@pytest.fixture(scope="session")
def numbered(tmp_path_factory):
    """A prepared corpus whose text grows and adds."""
    folder = tmp_path_factory.mktemp("numbered")
    known = range(100)
    (folder / "a.txt").write_text(
        "\n".join(f"it has increased from {n} to {n} + {n} = {2 * n} words" for n in known)
    )
    files = [epath.Path(folder / "a.txt")]
    prepare(TextFiles("numbers", files), Bpe(470), epath.Path(folder / "corpus"), quiet=True)
    return folder / "corpus"
