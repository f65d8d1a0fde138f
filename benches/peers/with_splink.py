"""Links records with Splink 5 on DuckDB: the peer of the identity stages.

with_splink.py RECORDS.parquet OUT.parquet [THRESHOLD [THREADS [MEMORY]]]

RECORDS has the columns of `identity.records`, so that both link the same values. OUT gets `account_id` and `cluster`. Prints
a line of JSON: seconds without the time to start, peak memory in bytes, pairs that were scored.
"""

import json
import logging
import resource
import sys
import time

import duckdb
import splink.comparison_level_library as levels
import splink.comparison_library as compare
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

logging.disable(logging.CRITICAL)
records, out = sys.argv[1:3]
threshold = float(sys.argv[3]) if len(sys.argv) > 3 else 0.9
connection = duckdb.connect()
connection.execute("set enable_progress_bar = false")
if len(sys.argv) > 4:
    connection.execute(f"set threads = {int(sys.argv[4])}")
if len(sys.argv) > 5:
    connection.execute(f"set memory_limit = '{sys.argv[5]}'")

begun = time.monotonic()
connection.execute(f"create table records as select * from '{records}'")
counts = connection.execute("select count(*), count(columns(*)) from records").fetchall()[0]
known = [name for name, count in zip([column[0] for column in connection.execute("describe records").fetchall()], counts[1:]) if count]

# words of a name are sorted, so a typing error in the first letter may swap them
name = compare.CustomComparison(
    output_column_name="name",
    comparison_levels=[
        levels.NullLevel("name"),
        levels.ExactMatchLevel("name", term_frequency_adjustments=True),
        levels.JaroWinklerLevel("name", 0.92),
        levels.CustomLevel("first_word_l = first_word_r or second_word_l = second_word_r or first_word_l = second_word_r or second_word_l = first_word_r", "a word in common"),
        levels.JaroWinklerLevel("name", 0.8),
        levels.ElseLevel(),
    ],
)
comparisons = {
    "name": name,
    "email": compare.CustomComparison(
        output_column_name="email",
        comparison_levels=[
            levels.NullLevel("email"),
            levels.ExactMatchLevel("email"),
            levels.DamerauLevenshteinLevel("mailbox", 1),
            levels.ElseLevel(),
        ],
    ),
    "phone": compare.DamerauLevenshteinAtThresholds("phone", 1),
    "birth_date": compare.DamerauLevenshteinAtThresholds("birth_date", [1, 2]),
    "gender": compare.ExactMatch("gender"),
    "street": compare.CustomComparison(
        output_column_name="street",
        comparison_levels=[
            levels.NullLevel("street"),
            levels.ExactMatchLevel("street"),
            levels.DamerauLevenshteinLevel("street", 2),
            levels.CustomLevel("damerau_levenshtein(street_l, street_r) * 4 <= length(street_l)", "a quarter edited"),
            levels.ElseLevel(),
        ],
    ),
    "postcode": compare.DamerauLevenshteinAtThresholds("postcode", 1),
    "national_id": compare.DamerauLevenshteinAtThresholds("national_id", 1),
}
rules = [
    ["email"],
    ["phone"],
    ["national_id"],
    ["street"],
    ["birth_date", "first_word"],
    ["birth_date", "second_word"],
    ["postcode", "first_word"],
    ["postcode", "second_word"],
    ["postcode", "birth_date"],
]
# a key that very many records share would make Splink compare each with each
for column in ["email", "phone", "national_id", "street"]:
    connection.execute(
        f"alter table records add column {column}_key varchar; update records set {column}_key = {column} where {column} in "
        f"(select {column} from records group by {column} having count(*) <= 20)"
    )
blocking = [
    block_on(*[f"{column}_key" if len(rule) == 1 else column for column in rule])
    for rule in rules
    if all(column in known for column in rule)
]
settings = SettingsCreator(
    link_type="dedupe_only",
    unique_id_column_name="account_id",
    comparisons=[comparison for column, comparison in comparisons.items() if column in known],
    blocking_rules_to_generate_predictions=blocking,
    max_iterations=100,
)
database = DuckDBAPI(connection)
linker = Linker(database.register("records"), settings)
sure = [block_on(*rule) for rule in [["email", "name"], ["phone", "name"], ["birth_date", "name"], ["national_id"]] if all(c in known for c in rule)]
linker.training.estimate_probability_two_random_records_match(sure, recall=0.7)
linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
sessions = [["national_id"], ["email_key"], ["phone_key"], ["birth_date", "name"], ["street_key"]]
for rule in sessions:
    if all(column.removesuffix("_key") in known for column in rule):
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*rule), record_sample_proportion=1.0)
predicted = linker.inference.predict(threshold_match_probability=0.01)
clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(predicted, threshold_match_probability=threshold)
connection.execute(
    f"copy (select account_id, cluster_id as cluster from {clusters.physical_name}) to '{out}' (format parquet)"
)
pairs = connection.execute(f"select count(*) from {predicted.physical_name}").fetchall()[0][0]
taken = time.monotonic() - begun
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seconds": taken, "cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss * 1024, "pairs": pairs}))
