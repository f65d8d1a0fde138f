//! The integration tests: one binary, one module a promise.

// Helpers: the strata binary, lakes with small worlds, Python with its packages.
mod support;

// A new user's commands: demo, sql, runs, explain, their formats and exit codes.
mod cli;

// The key of pseudonyms: where it comes from, where it is never found, and what a new one changes.
mod pseudonyms;

// `strata sql` reads and does nothing else, whatever a statement says.
mod read_only;

// Measurements of whole runs, and forecasts of larger ones.
mod bench;

// Permuted input rows change no stage's result.
mod permutation;

// Threads, raw file layouts and full refreshes change no published byte.
mod same_bytes;

// What functions, trainers, engine and sink give is pinned, and changes only with a raised revision.
mod revisions;

// One thing changes at a time: exactly what depends on it is computed again, and the run says why.
mod dependencies;

// A run after each day's delivery gives what one run over everything gives, and reads only what is new.
mod incremental;

// Behaviour segments: chosen, refused, kept through refits, beside scikit-learn's.
mod segments;

// Segments of every family over time: migration, lineage, stays, names.
mod families;

// What customers say: scores as VADER's, sentiment and aspects beside the truth, tags of earlier days that stay.
mod texts;

// What was planted in a generated world, found by tags.
mod behaviours;

// Sessions, funnels and paths of a real clickstream.
mod ecom;
// Portraits of two runs do not tell of a customer who came between them.
mod differencing;

// Portraits of segments: shares, TGI, intervals, numbers, hours of the week, as DuckDB and SciPy find them.
mod portraits;

// Who brings most of the revenue, cut as DuckDB cuts it.
mod value_tiers;

// Preferences and prices: again by DuckDB, and beside what could be found at best.
mod preferences;

// RFM scores by frozen cut points, and by new ones when the header says so.
mod rfm;

// Models and ids that runs carry: backfills, references that drift, resets.
mod carried;

// Customers like those of a list, ranked by distance.
mod lookalikes;

// Runs killed at any point: readers see the old or the new, the next run resumes.
mod kill;

// Publications are built on the last whole state, whatever died, was overtaken or was answered.
mod publishing;

// What no kept run needs is found and removed.
mod gc;

// One run at a time on one lake, and one project.
mod lock;

// A company with a file of purchases: CDNOW, and one's own CSV files.
mod cdnow;

// A company's real data of many sources: Complete Journey, and what it lacks.
mod complete_journey;

// Rhythm, life cycle and the flow of buyers of the same households, against DuckDB.
mod rhythm;

// What others may read: Delta tables that any reader opens, and nobody's name in them.
mod published;

// Every refusal of wrong stage SQL: file, line, caret and the way out.
mod project_errors;

// The same for headers, raw contracts, models and project.toml.
mod project_files;

// Tags in headers: every refusal, and `$tags`.
mod tag_headers;

// Hand-computed cases of tags, `tests/tags/*.slt`.
mod tag_cases;

// Every project as of past instants: later rows decide nothing, nor do rows after the clock.
mod past_instants;

// Tags as of a day, whatever becomes known later.
mod point_in_time;

// Versions of rules, who was given what, tags that are forgotten.
mod tag_registry;

// Tiny projects looked at without data, run to a fixpoint, stopped by an audit.
mod project_runs;

// Every row is accounted for, and cleaning rules find what was planted and only that.
mod accounting;

// Broken files, columns, values and lakes: refused with the way out, or set apart row by row.
mod bad_input;

// Lost files and manifests, removed locks, worlds over other files, and who may read what.
mod losses;

// Orders, returns, events delivered again under another day count once.
mod redelivery;

// Extreme values of every type in every raw column: quarantined or harmless, never the end of a run.
mod extremes;

// CSV files with wrong columns, values, encodings.
mod bad_csv;

// Raw files are known by their content: corrections without a trace in the footer, line breaks inside quotes.
mod raw_files;

// How hard the generated world is: k-means on the truth. How hard its records are to link stands in `identity`.
mod difficulty;

// Dense segments: as scikit-learn finds them, and from a project's files to its tables.
mod density;
// Principal components as tables and before clustering, and the report on features.
mod factors;

// Each rule of cleaning customer records, and how a company changes it.
mod cleaning;

// Records of one person: linked as well as by Splink or better, on FEBRL and on a generated world.
mod identity;

// Two people of one household with one birth date stay two.
mod households;

// A lake on S3: the same bytes, conditional writes of many writers, and what is said when it cannot be reached.
mod s3;

// The plan of every stage as a cluster gets it, and that it arrives as it was sent.
mod plans;

// A cluster of processes: the same bytes, functions on executors, lost drivers and executors.
mod cluster;

// Who may do what on a cluster: secrets, addresses, lakes.
mod cluster_doors;

// The script and the container files that start a cluster.
mod deploy;

// Generated documents and the commands that documents name.
mod docs;
