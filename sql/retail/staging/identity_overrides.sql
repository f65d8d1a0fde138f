-- The verdict on each pair of customer records on which somebody decided; the latest decision counts.
-- grain: left_id, right_id
-- store: table
-- quarantine: rule
-- accounts: raw.identity_overrides
-- why: the smaller id is the left one, so that a decision is found whichever way it was written; of decisions at the same
--    instant the one that keeps records apart counts
with
source as (
    select
        least(trim_to_null(left_id), trim_to_null(right_id)) as left_id,
        greatest(trim_to_null(left_id), trim_to_null(right_id)) as right_id,
        trim_to_null(left_id) is null or trim_to_null(right_id) is null as lacks_id,
        lower(trim_to_null(verdict)) as verdict,
        reason,
        decided_at,
        ingested_at
    from raw.identity_overrides
),

judged as (
    select
        s.left_id,
        s.right_id,
        s.verdict,
        s.reason,
        s.decided_at,
        case
            when s.lacks_id or s.left_id = s.right_id then 'missing_key'
            when out_of_range($earliest_date, $latest_date, s.decided_at, s.ingested_at) then 'out_of_range'
            when s.verdict is null or s.verdict not in ('same', 'different') then 'unknown_verdict'
            when s.decided_at is null or s.decided_at >= $as_of then 'future_override'
            when a.account_id is null or b.account_id is null then 'orphan_override'
        end as broken
    from source as s
    left join staging.customers as a on s.left_id = a.account_id
    left join staging.customers as b on s.right_id = b.account_id
),

ranked as (
    select
        left_id,
        right_id,
        verdict,
        reason,
        decided_at,
        broken,
        row_number() over (
            partition by left_id, right_id
            order by broken is not null, decided_at desc, verdict, reason
        ) as version
    from judged
)

select
    left_id,
    right_id,
    verdict,
    reason,
    decided_at,
    case
        when broken is not null then broken
        when version > 1 then 'superseded_override'
    end as rule
from ranked
