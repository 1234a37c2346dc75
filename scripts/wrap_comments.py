#!/usr/bin/env python3
"""Wraps comments of Rust files at 100 columns, which rustfmt leaves alone.

    scripts/wrap_comments.py [--check] [FOLDER ...]

Only paragraphs with a line that is too long are touched; code and tables in comments never are. With
--check nothing is changed: such paragraphs are listed, and the exit code is 1 if there are any.
"""
import pathlib
import re
import sys
import textwrap

COLUMNS = 100
FOLDERS = ["src", "tests", "benches", "examples"]
COMMENT = re.compile(r"( *)(///|//!|//)( ?)(.*)")
ITEM = re.compile(r"( *)([*-]|\d+\.) +")
# What is no prose: headings, tables, code, and where links lead.
OTHER = re.compile(r"#|\||    |```|\[[^]]*\]:")
# Blanks before what would begin an item or a heading at the start of a line.
FIXED_BLANK = re.compile(r" (?=(?:[*+#>-]|\d+[.)])(?: |$))")
# Code within a line, which is better read in one piece.
CODE = re.compile(r"`[^`]{1,60}`")


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    root = pathlib.Path(__file__).parent.parent
    folders = [name for name in arguments if name != "--check"] or FOLDERS
    too_long = 0
    for path in sorted(path for name in folders for path in (root / name).rglob("*.rs")):
        lines = path.read_text().split("\n")
        wrapped = []
        for number, paragraph in paragraphs(lines):
            new = wrap(paragraph)
            wrapped += new
            if new != paragraph:
                too_long += 1
                if check:
                    print(f"{path.relative_to(root)}:{number}: wrap this comment at {COLUMNS} columns")
        if not check and wrapped != lines:
            path.write_text("\n".join(wrapped))
    return int(check and too_long > 0)


def paragraphs(lines: list[str]):
    """Lines that may be wrapped together, each with the number of the first."""
    paragraph: list[str] = []
    start, in_code = 1, False
    for number, line in enumerate(lines, 1):
        comment = COMMENT.fullmatch(line)
        words = comment[4] if comment else ""
        fence = words.lstrip().startswith("```")
        begins = (
            not paragraph
            or not is_prose(line) or not is_prose(paragraph[-1])
            or in_code or fence
            or ITEM.match(words)
            or COMMENT.fullmatch(paragraph[-1]).group(1, 2) != comment.group(1, 2)
        )
        if begins and paragraph:
            yield start, paragraph
            paragraph = []
        if not paragraph:
            start = number
        paragraph.append(line)
        if fence or (in_code and not comment):
            in_code = fence and not in_code
        if in_code or fence:
            yield number, paragraph
            paragraph = []
    if paragraph:
        yield start, paragraph


def is_prose(line: str) -> bool:
    """Whether a line is of a comment, and no heading, table, code or empty line of it."""
    comment = COMMENT.fullmatch(line)
    return bool(
        comment
        and comment[4].strip()
        and not OTHER.match(comment[4])
    )


def wrap(paragraph: list[str]) -> list[str]:
    if all(len(line) <= COLUMNS for line in paragraph) or not is_prose(paragraph[0]):
        return paragraph
    comments = [COMMENT.fullmatch(line) for line in paragraph]
    indent, slashes = comments[0][1], comments[0][2]
    text = comments[0][4]
    item = ITEM.match(text)
    margin = len(item[0]) if item else len(text) - len(text.lstrip())
    head = indent + slashes + " "
    words = " ".join(comment[4].strip() for comment in comments)
    if item:
        words = words[len(item[0].lstrip()):]
    words = CODE.sub(lambda code: code[0].replace(" ", "\0"), words)
    lines = textwrap.wrap(
        FIXED_BLANK.sub("\0", words),
        COLUMNS,
        initial_indent=head + text[:margin],
        subsequent_indent=head + " " * margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ") for line in lines]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
