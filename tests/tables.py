"""What commands print, for tests to look into."""

import json


def rows_of(table):
    header, *rows = [line.split("\t") for line in table.splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def objects(lines):
    return [json.loads(line) for line in lines.splitlines()]
