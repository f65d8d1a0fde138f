//! The driver: plan, execute, audit, commit, resume.
