"""Known corpora: where they are, what they should be, and fetching them once.

Nothing is downloaded whose size and SHA-256 are not known here.  A download is continued where it stopped
(``FILE.RANDOM.part``, by HTTP Range), compared with both and renamed.  What comes out of an archive, and has no
checksum of its own here, has it recorded then in ``SHA256SUMS`` beside the data (the form of ``sha256sum -c``).
"""

from __future__ import annotations

import difflib
import os
import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from corpora.data.download import Exact, download, open_part, sha256_of
from corpora.errors import CorpusError, FormatError
from corpora.files.output import replace_file

CHECKSUM_FILE = "SHA256SUMS"


@dataclass(frozen=True)
class Source:
    """One download.  ``files`` maps a corpus file to its member of a zip archive; None: it is the download itself."""

    url: str
    files: Mapping[str, str | None]
    archive: Exact | None = None  # what the archive must be


@dataclass(frozen=True)
class Dataset:
    """A corpus: its files and what they must be (None: known by their archive), and sources, tried in this order."""

    name: str
    description: str
    licence: str
    files: Mapping[str, Exact | None]
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Fetched:
    """A file of a corpus that is in place.

    ``checksum`` says what its SHA-256 rests on: "verified" (equal to a published one or an earlier recorded one, or
    its archive is) or "recorded" (it was there, and there is nothing to compare with; written down now).
    ``source``: the URL it came from, None where it was there already.
    """

    path: Path
    sha256: str
    size: int
    checksum: str
    source: str | None


class Row(NamedTuple):
    """A line of the list of corpora."""

    name: str
    description: str
    licence: str
    files: tuple[str, ...]
    urls: tuple[str, ...]
    download_bytes: int
    directory: Path
    present: bool


# ptb, tiny-shakespeare, wiki.valid.tokens: computed from the files; wikitext-2-v1.zip and enwik8.zip: as published
# with the "wikitext" and "enwik8" scripts of the Hugging Face datasets library (dataset_infos.json); text8.zip, text8
# and enwik8: as several independent programs and papers that use them have published
_PTB = {
    "ptb.train.txt": Exact(5101618, "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
    "ptb.valid.txt": Exact(399782, "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
    "ptb.test.txt": Exact(449945, "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
}
_TEXT8 = Exact(100_000_000, "6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7")
_TEXT8_ZIP = Exact(31344016, "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232")
_ENWIK8 = Exact(100_000_000, "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8")
_ENWIK8_ZIP = Exact(36445475, "547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc")
_WIKITEXT2 = {f"wiki.{part}.tokens": f"wikitext-2/wiki.{part}.tokens" for part in ("train", "valid", "test")}
_WIKITEXT2_VALID = Exact(1121681, "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8")
_WIKITEXT2_ZIP = Exact(4475746, "92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c")
_TINY_SHAKESPEARE = Exact(1115394, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed")

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "ptb",
            "Penn Treebank as Mikolov prepared it: 10,000 words with <unk>, one sentence a line, 1.1 M tokens",
            "Linguistic Data Consortium (LDC99T42): for research, under the LDC's user agreement",
            _PTB,
            tuple(
                Source(f"https://raw.githubusercontent.com/{repository}/lstm/master/data/{name}", {name: None})
                for repository in ("wojzaremba", "tomsercu")
                for name in _PTB
            ),
        ),
        Dataset(
            "text8",
            "the first 10^8 bytes of cleaned English Wikipedia (2006): a to z and spaces, one line",
            "Wikipedia's authors: GNU FDL 1.2 and CC BY-SA 3.0",
            {"text8": _TEXT8},
            tuple(
                Source(f"{scheme}://mattmahoney.net/dc/text8.zip", {"text8": "text8"}, _TEXT8_ZIP)
                for scheme in ("https", "http")
            ),
        ),
        Dataset(
            "enwik8",
            "the first 10^8 bytes of the English Wikipedia dump of 2006-03-03, as XML",
            "Wikipedia's authors: GNU FDL 1.2 and CC BY-SA 3.0",
            {"enwik8": _ENWIK8},
            tuple(
                Source(f"{scheme}://mattmahoney.net/dc/enwik8.zip", {"enwik8": "enwik8"}, _ENWIK8_ZIP)
                for scheme in ("https", "http")
            ),
        ),
        Dataset(
            "wikitext-2",
            "WikiText-2 (Merity et al., 2016): good and featured Wikipedia articles, with <unk>, 2.5 M tokens",
            "Wikipedia's authors: CC BY-SA",
            dict.fromkeys(_WIKITEXT2) | {"wiki.valid.tokens": _WIKITEXT2_VALID},
            (
                Source("https://wikitext.smerity.com/wikitext-2-v1.zip", _WIKITEXT2, _WIKITEXT2_ZIP),
                Source(
                    "https://s3.amazonaws.com/research.metamind.io/wikitext/wikitext-2-v1.zip",
                    _WIKITEXT2,
                    _WIKITEXT2_ZIP,
                ),
            ),
        ),
        Dataset(
            "tiny-shakespeare",
            "40,000 lines from Shakespeare's plays (Karpathy's char-rnn), 1.1 MB",
            "the plays are in the public domain",
            {"tinyshakespeare.txt": _TINY_SHAKESPEARE},
            (
                Source(
                    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                    {"tinyshakespeare.txt": None},
                ),
            ),
        ),
    )
}


def get_dataset(name: str) -> Dataset:
    """The corpus called ``name``, or a CorpusError that lists those there are."""
    if name in DATASETS:
        return DATASETS[name]
    close = difflib.get_close_matches(name, DATASETS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise CorpusError(f"{name}: no such corpus; {hint}there are {', '.join(DATASETS)}")


def data_directory(name: str) -> Path:
    """Where a corpus goes unless told otherwise: a folder of the user's cache, as the system has it."""
    import pooch

    return Path(pooch.os_cache("rnnlm-w2v")) / name


def listing() -> list[Row]:
    """What can be fetched, and what is there already in the usual place.  Needs no network."""
    rows = []
    for dataset in DATASETS.values():
        directory = data_directory(dataset.name)
        rows.append(
            Row(
                dataset.name,
                dataset.description,
                dataset.licence,
                tuple(dataset.files),
                tuple(source.url for source in dataset.sources),
                _download_bytes(dataset),
                directory,
                all((directory / file).is_file() for file in dataset.files),
            )
        )
    return rows


def _download_bytes(dataset: Dataset) -> int:
    """What the first sources of all files have together."""
    firsts = {file: next(source for source in dataset.sources if file in source.files) for file in dataset.files}
    sizes = {source.url: _exact(dataset, source, file).size for file, source in firsts.items()}
    return sum(sizes.values())


def _exact(dataset: Dataset, source: Source, file: str) -> Exact:
    """What the download of a source must be, from which a file comes."""
    exact = source.archive if source.files[file] is not None else dataset.files[file]
    if exact is None:
        raise CorpusError(f"{source.url}: its size and SHA-256 are not known, so it is not downloaded")
    return exact


def fetch(
    name: str,
    directory: str | Path | None = None,
    *,
    base_url: str | None = None,
    progress: Callable | None = None,
    timeout: float = 30.0,
    retries: int = 3,
) -> list[Fetched]:
    """Make the files of a corpus be in ``directory`` (default: ``data_directory(name)``), whole and verified.

    Files that are there are verified and not downloaded again; one that is wrong is left alone and
    reported.  A download that does not match is kept as ``FILE.bad``.  ``base_url`` stands for
    everything before the last name of every URL (a mirror).  ``progress(total, desc, unit)``, as
    ``corpora.jobs.progress.bar``, gives something with ``update(n_bytes)`` and ``close()``.  ``timeout``: seconds of
    silence.  ``retries`` after a broken connection.  Every failure is a CorpusError of one line.
    """
    dataset = get_dataset(name)
    directory = Path(directory) if directory is not None else data_directory(name)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{directory}: cannot be made a folder for {name}: {error.strerror}") from error
    checksums = _Checksums(directory)
    get = partial(download, progress=progress, timeout=timeout, retries=retries)
    archives = _Archives(dataset, get)
    with closing(archives):
        return [
            _verify_present(dataset, directory / file, checksums)
            if (directory / file).exists()
            else _fetch_file(dataset, directory / file, base_url, checksums, archives)
            for file in dataset.files
        ]


class _Archives:
    """Downloads for one fetch: an archive is downloaded once, whatever the number of files in it."""

    def __init__(self, dataset: Dataset, get: Callable[[str, Path, Exact], Path]):
        self.dataset, self.get = dataset, get
        self.downloaded: dict[str, Path] = {}

    def obtain(self, source: Source, url: str, path: Path) -> None:
        """Put the file ``path`` in its place, downloaded or taken from its archive."""
        member, exact = source.files[path.name], _exact(self.dataset, source, path.name)
        if member is None:
            os.replace(self.get(url, path, exact), path)
            return
        archive = path.with_name(posixpath.basename(url))
        # one that is there was put there, or left by a run that was stopped: no need to ask for it again
        if not archive.exists():
            os.replace(self.get(url, archive, exact), archive)
            self.downloaded[url] = archive
        place = url if url in self.downloaded else str(archive)
        with _open_file(archive) as file:
            if (sha256 := sha256_of(file)) != exact.sha256:
                raise CorpusError(f"{place}: SHA-256 is {sha256}, expected {exact.sha256} as published")
            _extract(file, member, path, self.dataset.files[path.name], place)

    def close(self) -> None:
        """Remove the archives that were downloaded here."""
        for archive in self.downloaded.values():
            archive.unlink(missing_ok=True)


class _Checksums:
    """What is recorded in a folder: lines of SHA-256, two spaces (or space and star), file name."""

    def __init__(self, directory: Path):
        self.path = directory / CHECKSUM_FILE
        self.recorded: dict[str, str] = {}
        if not self.path.exists():
            return
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"{self.path}: cannot be read ({error}); remove it to record anew") from error
        for number, line in enumerate(lines, start=1):
            match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line)
            if not match:
                raise FormatError(self.path, number, "expected a SHA-256, two spaces and a file's name")
            self.recorded[match[2]] = match[1].lower()

    def record(self, file: str, sha256: str) -> None:
        """Add one and write the file anew."""
        self.recorded[file] = sha256
        with replace_file(str(self.path)) as out:
            out.write("".join(f"{value}  {name}\n" for name, value in self.recorded.items()).encode())


def _verify_present(dataset: Dataset, path: Path, checksums: _Checksums) -> Fetched:
    """A file that is there: the user's, so that a wrong one is reported and left alone."""
    expected, origin = _expected(dataset, path.name, checksums)
    sha256 = _sha256(path)
    if expected and sha256 != expected:
        raise CorpusError(f"{path}: SHA-256 is {sha256}, expected {expected} {origin}; move it away to fetch it anew")
    return _in_place(dataset, path, sha256, bool(expected), checksums, None)


def _fetch_file(
    dataset: Dataset, path: Path, base_url: str | None, checksums: _Checksums, archives: _Archives
) -> Fetched:
    """A file that is missing, from the first source that gives it."""
    sources = {}  # by URL: mirrors become one where base_url is given
    for source in dataset.sources:
        if path.name in source.files:
            url = source.url if base_url is None else f"{base_url.rstrip('/')}/{posixpath.basename(source.url)}"
            sources.setdefault(url, source)
    reasons = []
    for url, source in sources.items():
        try:
            archives.obtain(source, url, path)
            return _in_place(dataset, path, _sha256(path), True, checksums, url)
        except CorpusError as error:
            reasons.append(str(error))
        except OSError as error:
            reasons.append(f"{path}: {error.strerror or error}")
    raise CorpusError(
        f"{dataset.name}: {'; '.join(reasons)}; run again to go on, or put {path.name} into {path.parent} yourself"
    )


def _extract(archive: BinaryIO, member: str, path: Path, exact: Exact | None, place: str) -> None:
    """Put one member of a zip file at ``path``; ``place`` heads an error.  No path of an archive is ever followed."""
    file, part = open_part(path)
    try:
        with file:
            file.truncate(0)
            _copy_member(archive, member, file)
            sha256 = sha256_of(file)
        if exact is not None and sha256 != exact.sha256:
            raise CorpusError(f"{place}: SHA-256 of {member} is {sha256}, expected {exact.sha256} as published")
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, KeyError):
            raise CorpusError(f"{place}: no {member} in this archive") from None
        if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError | NotImplementedError):
            raise CorpusError(f"{place}: not an archive that can be read, or not the whole of it") from error
        raise


def _copy_member(archive: BinaryIO, member: str, out: BinaryIO) -> None:
    with zipfile.ZipFile(archive) as members, members.open(member) as inner:
        left = members.getinfo(member).file_size  # the archive is the right one, and so is that
        while piece := inner.read(min(left + 1, 1 << 20)):
            left -= len(piece)
            if left < 0:
                raise zipfile.BadZipFile("a member is longer than the archive says")
            out.write(piece)


def _in_place(
    dataset: Dataset, path: Path, sha256: str, verified: bool, checksums: _Checksums, url: str | None
) -> Fetched:
    """The report on a file; a checksum that is not published is recorded."""
    if dataset.files[path.name] is None and checksums.recorded.get(path.name) != sha256:
        checksums.record(path.name, sha256)
    return Fetched(path, sha256, path.stat().st_size, "verified" if verified else "recorded", url)


def _expected(dataset: Dataset, file: str, checksums: _Checksums) -> tuple[str | None, str]:
    """The SHA-256 that a file must have (None: not known), and where that is from."""
    if (exact := dataset.files[file]) is not None:
        return exact.sha256, "as published"
    return checksums.recorded.get(file), f"as recorded in {checksums.path}"


def _sha256(path: Path) -> str:
    with _open_file(path) as file:
        return sha256_of(file)


def _open_file(path: Path) -> BinaryIO:
    if not path.is_file():  # a pipe would make us wait
        raise CorpusError(f"{path}: is not a file; move it away to fetch it anew")
    try:
        return path.open("rb")
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
