-- What a company calls its segments, in English and in Chinese; a name that is not given is the project's own.
-- grain: family, segment
-- ingested_at: ingested_at
-- may_be_empty: true
create external table raw.segment_names (
    family varchar,
    segment varchar,
    name_en varchar,
    name_zh varchar,
    ingested_at timestamp(6)
)
stored as parquet
location 'raw/segment_names/'
