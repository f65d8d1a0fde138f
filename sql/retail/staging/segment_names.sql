-- The names that a company gives to segments, the latest of each.
-- grain: family, segment
-- store: table
-- quarantine: rule
-- accounts: raw.segment_names
-- why: two segments of a family may not share a name, since names are how analysts tell them apart: the smaller segment keeps it
with
source as (
    select
        lower(trim_to_null(family)) as family,
        trim_to_null(segment) as segment,
        trim_to_null(name_en) as name_en,
        trim_to_null(name_zh) as name_zh,
        ingested_at
    from raw.segment_names
),

judged as (
    select
        s.family,
        s.segment,
        s.name_en,
        s.name_zh,
        s.ingested_at,
        case
            when s.family is null or s.segment is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, s.ingested_at) then 'out_of_range'
            when s.family <> 'behaviour' and k.family is null then 'unknown_segment'
            when s.family = 'behaviour' and coalesce(try_cast(s.segment as int), -1) < 0 then 'unknown_segment'
            when s.name_en is null and s.name_zh is null then 'missing_name'
        end as broken
    from source as s
    left join staging.rule_segments as k on s.family = k.family and s.segment = k.segment
),

-- The version known last sorts first, broken rows after all others.
ranked as (
    select
        family,
        segment,
        name_en,
        name_zh,
        broken,
        row_number() over (
            partition by family, segment
            order by broken is not null, ingested_at desc nulls last, name_en, name_zh
        ) as version
    from judged
),

named as (
    select
        family,
        segment,
        name_en,
        name_zh,
        broken,
        version,
        row_number() over (
            partition by family, name_en, broken is null and version = 1
            order by segment, version, name_zh
        ) as english_place,
        row_number() over (
            partition by family, name_zh, broken is null and version = 1
            order by segment, version, name_en
        ) as chinese_place
    from ranked
)

select
    family,
    segment,
    name_en,
    name_zh,
    case
        when broken is not null then broken
        when version > 1 then 'superseded_name'
        when (name_en is not null and english_place > 1) or (name_zh is not null and chinese_place > 1)
            then 'ambiguous_name'
    end as rule
from named
