"""The log of a training run: what it holds, also when the run was interrupted."""

import json

import pytest

from corpora.errors import CorpusError
from w2v.log import EPOCH, PROGRESS, Log


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(path="log"):
    with open(path) as file:
        return [(line["kind"], line["words_done"]) for line in map(json.loads, file)]


def test_lines_are_there_as_soon_as_they_are_written():
    log = Log("log")
    log.write(PROGRESS, {"words_done": 5, "loss": 0.25})
    assert lines() == [("progress", 5)]
    log.write(EPOCH, {"words_done": 10})
    log.close()
    assert lines() == [("progress", 5), ("epoch", 10)]


def test_a_log_is_gone_on_with_so_that_no_line_is_missing_and_none_is_there_twice(folder):
    log = Log("log")
    for kind, words in ((PROGRESS, 5), (EPOCH, 10), (PROGRESS, 12), (PROGRESS, 19), (EPOCH, 20)):
        log.write(kind, {"words_done": words})
    log.close()
    with open("log", "ab") as file:
        file.write(b'{"kind": "progress", "words_do')  # the process was killed
    Log("log", [{"words_done": 10}], 15).close()
    assert lines() == [("progress", 5), ("epoch", 10), ("progress", 12)]


def test_epochs_come_back_where_the_log_was_removed():
    Log("log", [{"words_done": 10}, {"words_done": 20}], 25).close()
    assert lines() == [("epoch", 10), ("epoch", 20)]


def test_a_fresh_log_replaces_an_old_one(folder):
    (folder / "log").write_text('{"kind": "progress", "words_done": 1}\n')
    Log("log").close()
    assert lines() == []


def test_without_a_file_nothing_is_written(folder):
    log = Log(None)
    log.write(EPOCH, {"words_done": 1})
    log.close()
    assert list(folder.iterdir()) == []


def test_a_log_that_cannot_be_opened_is_one_line():
    with pytest.raises(CorpusError, match="none/log: cannot be written"):
        Log("none/log")
