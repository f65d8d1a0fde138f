//! The integration tests: one binary, one module a promise.

// Helpers: the strata binary, lakes with small worlds, Python with its packages.
mod support;

// A new user's commands: demo, sql, runs, explain, their formats and exit codes.
mod cli;
