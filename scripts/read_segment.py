#!/usr/bin/env python3
"""Reads a segment by docs/file-format.md alone, with nothing but Python: a test of that document.

    scripts/read_segment.py FILE

prints a line of JSON for each row, by row number: class, template, time of enrolment, quality and the values as they were
given. They are templates: mind where the output goes. Every checksum is compared, and what the codes
promise is checked; the first thing that is not as the document says ends the program with a message.
"""

import json
import math
import struct
import sys

PAGE = 4096
BLOCK = 65536
# kind, name, bytes of a row by dimension
PLANES = [
    (1, "high nibbles", lambda d: 64 * -(-d // 128)),
    (2, "low nibbles", lambda d: 64 * -(-d // 128)),
    (3, "scales", lambda d: 4),
    (4, "coarse residuals", lambda d: 4),
    (5, "fine residuals", lambda d: 4),
    (6, "lengths", lambda d: 8),
    (7, "classes", lambda d: 8),
    (8, "template infos", lambda d: 24),
    (9, "class order", lambda d: 4),
    (10, "values", lambda d: 64 * -(-d // 16)),
]


def crc64_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x9A6C9329AC4BC9B5 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc64_table()


def crc64(data):
    crc = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFFFFFFFFFF


def check(what, expected, found):
    if expected != found:
        sys.exit(f"{what}: expected {expected}, found {found}")


def read_header(data):
    check("a header", True, len(data) >= PAGE)
    check("magic", b"VULTSEG\x1a", data[:8])
    check("checksum of the header", *struct.unpack_from("<Q", data, 4088), crc64(data[:4088]))
    version, header_bytes, rows, dimension, planes, block, encoder_bytes = struct.unpack_from(
        "<IIQIIII", data, 8
    )
    check("version", 1, version)
    check("bytes of the header, planes, bytes of a block", (PAGE, 10, BLOCK), (header_bytes, planes, block))
    segment, partition, created = struct.unpack_from("<QQq", data, 40)
    encoder = data[1152 : 1152 + encoder_bytes].decode()
    return rows, dimension, encoder


def read_planes(data, rows, dimension):
    """Where the planes are, each compared with its checksums."""
    table_offset, table_bytes, table_checksum = struct.unpack_from("<QQQ", data, 64)
    check("length of the file", table_offset + table_bytes, len(data))
    table = data[table_offset:]
    check("checksum of the table", table_checksum, crc64(table))
    planes, end, blocks = {}, PAGE, 0
    for at, (kind, name, row_bytes_of) in enumerate(PLANES):
        row_bytes = row_bytes_of(dimension)
        length = rows * row_bytes
        entry = struct.unpack_from("<IIQQQ", data, 128 + 32 * at)
        check(f"entry of {name}", (kind, row_bytes, end, length, blocks), entry)
        plane = data[end : end + length]
        for start in range(0, length, BLOCK):
            expected = struct.unpack_from("<Q", table, 8 * blocks)[0]
            check(f"checksum of {name} from {start}", expected, crc64(plane[start : start + BLOCK]))
            blocks += 1
        planes[name] = (plane, row_bytes)
        end = -(-(end + length) // PAGE) * PAGE
    check("offset and bytes of the table", (end, 8 * blocks), (table_offset, table_bytes))
    return planes


def nibbles(line_bytes, dimension):
    """The nibbles of a row in the order of its dimensions, with 8 taken off."""
    found = []
    for at in range(dimension):
        line, value = divmod(at, 128)
        byte = line_bytes[64 * line + value % 64]
        found.append((byte >> 4 if value >= 64 else byte & 15) - 8)
    return found


def check_codes(row, cell, dimension, values, length):
    """What the codes promise of a row."""
    check(f"length of row {row}", True, math.isclose(length, math.sqrt(sum(v * v for v in values)), rel_tol=1e-12))
    scale, coarse, fine = (
        struct.unpack("<f", cell(name, row))[0]
        for name in ("scales", "coarse residuals", "fine residuals")
    )
    high, low = (nibbles(cell(name, row), dimension) for name in ("high nibbles", "low nibbles"))
    unit = [v / length for v in values]
    distance = lambda parts: math.dist(unit, [scale * part for part in parts])
    check(f"coarse residual of row {row}", True, distance([16 * h for h in high]) <= coarse)
    check(f"fine residual of row {row}", True, distance([16 * h + l for h, l in zip(high, low)]) <= fine)
    check(f"nibbles of row {row}", True, all(-7 <= h <= 7 for h in high))


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    rows, dimension, encoder = read_header(data)
    planes = read_planes(data, rows, dimension)

    def cell(name, row):
        plane, row_bytes = planes[name]
        return plane[row * row_bytes : (row + 1) * row_bytes]

    classes = [struct.unpack("<q", cell("classes", row))[0] for row in range(rows)]
    order = [struct.unpack("<I", cell("class order", at))[0] for at in range(rows)]
    check("class order", sorted(range(rows), key=lambda row: (classes[row], row)), order)
    for row in range(rows):
        values = struct.unpack_from(f"<{dimension}f", cell("values", row))
        length = struct.unpack("<d", cell("lengths", row))[0]
        template, enrolled, quality, zero = struct.unpack("<QqfI", cell("template infos", row))
        check(f"zero after the quality of row {row}", 0, zero)
        check_codes(row, cell, dimension, values, length)
        print(json.dumps({
            "class": classes[row],
            "template": template,
            "enrolled_unix_milliseconds": enrolled,
            "quality": None if math.isnan(quality) else quality,
            "encoder": encoder,
            "values": values,
        }))


if __name__ == "__main__":
    main()
