"""Dataset reader: a CSV file with the columns image, caption, person and split, one line per caption."""

import csv
from collections.abc import Iterator
from pathlib import Path

from gckd.extend import DatasetReader, Record, register_reader


@register_reader("people-csv")
class PeopleCsv(DatasetReader):
    annotation_files = ("people.csv",)

    def read(self, file: Path) -> Iterator[Record]:
        lines = list(csv.DictReader(file.open(newline="")))
        for image in dict.fromkeys(line["image"] for line in lines):
            own = [line for line in lines if line["image"] == image]
            captions = tuple(line["caption"] for line in own)
            yield Record(image, captions, int(own[0]["person"]), own[0]["split"])
