"""Files of analogy questions, as word2vec's ``questions-words.txt``: sections, and four words per line."""

from __future__ import annotations

from dataclasses import dataclass

from corpora.errors import FormatError
from corpora.files.checks import shown
from corpora.text.inputs import open_text, text_lines


@dataclass(frozen=True)
class Section:
    """Questions under one heading, each "a is to b as c is to d"; ``name`` is empty for those before any heading."""

    name: bytes
    questions: list[tuple[bytes, bytes, bytes, bytes]]

    @property
    def is_syntactic(self) -> bool:
        """Whether it asks about grammar, by its name, as in word2vec's file; the others ask about meaning."""
        return self.name.startswith(b"gram")


def read_questions(path: str) -> list[Section]:
    """The sections of a file; ``: name`` begins one.  FormatError for anything else than four words in a line."""
    sections: list[Section] = []
    with open_text(path) as file:
        for number, line in enumerate(text_lines(path, file), 1):
            fields = line.split()
            if not fields:
                continue
            if fields[0] == b":" or (fields[0].startswith(b":") and len(fields) == 1):
                sections.append(Section(b" ".join(line.strip()[1:].split()), []))
                continue
            if len(fields) != 4:
                found = f'{len(fields)} word{"" if len(fields) == 1 else "s"}: "{shown(b" ".join(fields))}"'
                raise FormatError(path, number, f'expected four words or a heading ": name", found {found}')
            if not sections:
                sections.append(Section(b"", []))
            sections[-1].questions.append(tuple(fields))
    if not any(section.questions for section in sections):
        raise FormatError(path, None, 'no questions: four words a line, under headings ": name"')
    return sections
