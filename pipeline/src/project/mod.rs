//! Sources, stages and audits: parse, graph, lint, fingerprint.
