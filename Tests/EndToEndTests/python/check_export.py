"""Compares the SQLite, CSV and Parquet tables of one journal, row by row, and opens them as their users do.

usage: check_export.py export.sqlite csv-directory parquet-directory
Prints the number of rows; exit code 1 and one line if anything differs.
"""

import csv
import pathlib
import sqlite3
import sys
from decimal import Decimal

import duckdb
import pandas
import pyarrow.parquet as parquet

TABLES = ["runs", "instruments", "orders", "order_events", "fills", "quotes", "spans"]


def fail(text: str) -> None:
    print(f"check_export: {text}", file=sys.stderr)
    sys.exit(1)


def number(value):
    """Numbers by their value: 0.020 of one format is 0.02 of another."""
    if value is None or value == "":
        return None
    if isinstance(value, (int, float, Decimal)):
        return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    try:
        return Decimal(value)
    except ArithmeticError:
        return value


def main() -> None:
    database_path, csv_path, parquet_path = sys.argv[1:]
    database = sqlite3.connect(database_path)
    rows = 0
    for table in TABLES:
        cursor = database.execute(f"select * from {table} order by rowid")
        columns = [column[0] for column in cursor.description]
        from_sqlite = [[number(value) for value in row] for row in cursor]

        with open(pathlib.Path(csv_path, table + ".csv"), newline="", encoding="utf-8") as file:
            text = file.read()
        if text.count("\n") != text.count("\r\n"):
            fail(f"{table}.csv has a line that does not end in CRLF")
        lines = list(csv.reader(text.splitlines(keepends=True)))
        if lines[0] != columns:
            fail(f"{table}.csv has the columns {lines[0]}")
        from_csv = [[number(value) for value in row] for row in lines[1:]]

        path = pathlib.Path(parquet_path, table + ".parquet")
        arrow = parquet.read_table(path)
        if arrow.column_names != columns:
            fail(f"{path} has the columns {arrow.column_names}")
        plain = {}
        for field in arrow.schema:
            column = arrow.column(field.name)
            is_time = str(field.type).startswith("timestamp")
            if is_time and str(field.type) != "timestamp[ns]":
                fail(f"{path}: {field.name} is {field.type}")
            values = column.cast("int64").to_pylist() if is_time else column.to_pylist()
            plain[field.name] = [number(value) for value in values]
        from_parquet = [list(row) for row in zip(*(plain[name] for name in columns))]

        for name, found in (("csv", from_csv), ("parquet", from_parquet)):
            if len(found) != len(from_sqlite):
                fail(f"{table}: {len(from_sqlite)} rows in SQLite, {len(found)} in {name}")
            for position, (left, right) in enumerate(zip(from_sqlite, found)):
                if left != right:
                    fail(f"{table}, row {position}: {left} in SQLite, {right} in {name}")
        rows += len(from_sqlite)

        if len(pandas.read_csv(pathlib.Path(csv_path, table + ".csv"))) != len(from_sqlite):
            fail(f"pandas reads other rows from {table}.csv")
        if len(pandas.read_parquet(path)) != len(from_sqlite):
            fail(f"pandas reads other rows from {path}")

    # The same sums through each reader.
    question = "select instrument, side, count(*), sum(size_lots), sum(fee_e8) from {} group by 1, 2 order by 1, 2"
    by_sqlite = database.execute(question.format("fills")).fetchall()
    for source in (f"read_csv('{csv_path}/fills.csv')", f"read_parquet('{parquet_path}/fills.parquet')"):
        by_duckdb = [tuple(int(v) if isinstance(v, int) else v for v in row)
                     for row in duckdb.sql(question.format(source)).fetchall()]
        if by_duckdb != by_sqlite:
            fail(f"DuckDB finds {by_duckdb} in {source}, SQLite {by_sqlite}")
    frame = pandas.read_parquet(pathlib.Path(parquet_path, "fills.parquet"))
    by_pandas = frame.groupby(["instrument", "side"])["size_lots"].sum().tolist()
    if by_pandas != [row[3] for row in by_sqlite]:
        fail(f"pandas finds {by_pandas}, SQLite {by_sqlite}")

    # The account that the lane has kept is that of its fills.
    for run, instrument, bought, sold, fills, fees in database.execute(
        "select run, instrument, bought_lots, sold_lots, fills, fees_e8 from instruments"
    ).fetchall():
        sums = database.execute(
            "select coalesce(sum(size_lots * (side = 'buy')), 0), coalesce(sum(size_lots * (side = 'sell')), 0),"
            " count(*), coalesce(sum(fee_e8), 0) from fills where run = ? and instrument = ?",
            (run, instrument),
        ).fetchone()
        if sums != (bought, sold, fills, fees):
            fail(f"{instrument}: the fills add up to {sums}, the lane's account is {(bought, sold, fills, fees)}")
    # Exact decimals: price times size in DuckDB, with nothing lost.
    duckdb.sql(f"select sum(price * size) from read_parquet('{parquet_path}/fills.parquet')").fetchall()
    if database.execute("select count(*) from fills where price * 1.0 <> price_ticks * 1.0 * (select tick from"
                        " instruments where instruments.instrument = fills.instrument limit 1)").fetchone()[0]:
        fail("a price is not its ticks")
    print(rows)


if __name__ == "__main__":
    main()
