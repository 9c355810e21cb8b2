"""Documents made into files of tokens, once: in parallel, and going on where it was stopped.

Each shard of documents becomes one file, whole or absent. `progress/` in the folder of the corpus
keeps the recipe and what is known of each finished file; corpus.json is written last.
"""

import hashlib
import platform
import sys
import tempfile
from dataclasses import replace

from etils import epath
from tqdm import tqdm

from rare_retention.config import difference, from_dict, to_dict
from rare_retention.errors import UserError
from rare_retention.record.files import disk, read_json, user_cache, write, write_json
from rare_retention.text import digests
from rare_retention.text.documents import Documents, standard_library
from rare_retention.text.losses import MOST_LOST, check_losses
from rare_retention.text.shards import Shards
from rare_retention.text.token_files import (
    CONTENTS,
    PROGRESS,
    TOKENIZER,
    VERSION,
    Contents,
    Recipe,
    read_contents,
)
from rare_retention.text.tokenizing import Bpe, TokenizerSource

SHARD_DOCUMENTS = 10_000

_RECIPE = "recipe.json"


def prepare(
    documents: Documents,
    source: TokenizerSource,
    output: epath.Path,
    *,
    shard_documents: int = SHARD_DOCUMENTS,
    verify: bool = False,
    most_lost: float = MOST_LOST,
    quiet: bool = False,
) -> Contents:
    """Tokenises documents into a folder of token files; finished files of an earlier call stay.

    Those that are damaged are made again: missing ones, ones of another size, and ones of other
    bytes, of which large ones are read in part only unless `verify` is set.

    Args:
        documents: the texts; empty ones are left out.
        source: where the tokenizer comes from.
        output: folder of the corpus, local or gs://.
        shard_documents: documents of a file.
        verify: read all of a finished corpus, and of its source, and compare.
        most_lost: share of the characters of sampled documents that the tokenizer may lose.
        quiet: show no progress.

    Raises:
        UserError: there is nothing to prepare, the tokenizer loses more, the folder holds a corpus
            of another recipe, or a file is damaged and the source no longer gives what it held.
    """
    if not len(documents):
        raise UserError(f"{documents.name}: holds no documents")
    recipe = Recipe(
        source=documents.name,
        digest=documents.digest,
        tokenizer=source.description,
        end_of_document=source.end_of_document,
        shard_documents=shard_documents,
        content=documents.content,
    )
    if (finished := _earlier(output, recipe)) is not None:
        _mend(documents, source, output, finished, verify=verify, quiet=quiet)
        return finished
    write_json(output / PROGRESS / _RECIPE, to_dict(recipe))
    if not (output / TOKENIZER).exists():
        text = source.text(documents)
        check_losses(text, documents, most_lost)
        write(output / TOKENIZER, lambda file: file.write(text.encode()))
    shards = Shards(documents, output, recipe)
    with tqdm(total=len(documents), unit=" documents", disable=quiet) as bar:
        parts = tuple(shards.part(number, bar.update) for number in range(len(shards)))
    contents = shards.contents(parts)
    if not contents.tokens:
        raise UserError(f"{documents.name}: all documents are empty")
    write_json(output / CONTENTS, to_dict(contents))
    (output / PROGRESS).rmtree()
    return contents


def _earlier(output: epath.Path, recipe: Recipe) -> Contents | None:
    """The corpus, if it is finished; otherwise the folder is free to be filled.

    Raises:
        UserError: it holds something else.
    """
    contents = read_contents(output)
    started = output / PROGRESS / _RECIPE
    if contents is not None:
        before = contents.recipe
    elif started.exists():
        before = from_dict(Recipe, read_json(started))
    elif output.is_dir() and any(file.name != PROGRESS for file in output.iterdir()):
        raise UserError(f"{output}: holds other files; choose another --output, or empty it")
    else:
        return None
    known = before if before.content else replace(before, content=recipe.content)
    if lines := difference(to_dict(known), to_dict(recipe)):
        raise UserError(
            f"{output}: holds a corpus of another recipe ({'; '.join(lines)}); choose another "
            "--output"
        )
    return contents


def _mend(
    documents: Documents,
    source: TokenizerSource,
    output: epath.Path,
    contents: Contents,
    *,
    verify: bool,
    quiet: bool,
) -> None:
    """Makes the damaged files of a finished corpus again.

    Raises:
        UserError: they would not be what they were.
    """
    tokenizer = output / contents.tokenizer
    told = contents.tokenizer_digest
    if not tokenizer.exists() or told not in ("", digests.of_file(tokenizer)):
        text = source.text(documents).encode()
        if told not in ("", hashlib.sha256(text).hexdigest()):
            raise UserError(f"{tokenizer}: is damaged, and {source.description} gives another now")
        write(tokenizer, lambda file: file.write(text))
        _say(f"mended {tokenizer}", quiet)
    shards = Shards(documents, output, contents.recipe)
    for number, part in enumerate(contents.files):
        if not shards.stands(part, verify=verify):
            shards.again(number, part)
            _say(f"mended {output / part.name}", quiet)
        elif verify:
            shards.compare(number, part)


def _say(line: str, quiet: bool) -> None:
    if not quiet:
        print(line, flush=True)


def embedded(vocabulary: int) -> epath.Path:
    """Folder of the embedded corpus: the standard library's sources, under a BPE trained on them.

    It is made on first use, in a folder of its own that then takes its name, so that processes may
    do so at once. It stands in `rare_retention/corpora` of ~/.cache, or of XDG_CACHE_HOME.

    Args:
        vocabulary: ids of the tokenizer.

    Raises:
        UserError: the place cannot be written, or this Python keeps no sources.
    """
    home = user_cache() / "corpora"
    folder = home / f"stdlib-{platform.python_version()}-{vocabulary}-v{VERSION}"
    if (folder / CONTENTS).exists():
        return folder
    print(f"preparing the embedded corpus, once, in {folder}", file=sys.stderr, flush=True)
    with disk(home):
        home.mkdir(parents=True, exist_ok=True)
        temporary = epath.Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=home))
    try:
        prepare(standard_library(), Bpe(vocabulary), temporary, quiet=True)
        temporary.rename(folder)
    except OSError as error:
        if not (folder / CONTENTS).exists():  # otherwise another process was faster
            raise UserError(f"{folder}: cannot be made ({error}); remove it") from None
    finally:
        if temporary.exists():
            temporary.rmtree()
    return folder
