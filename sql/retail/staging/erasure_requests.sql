-- One row per request of a known account to be erased.
-- grain: request_id
-- store: table
-- quarantine: rule
-- accounts: raw.erasure_requests
-- why: a request of an unknown account is kept apart, not thrown away: the account may yet become known
with
source as (
    select
        request_id,
        trim_to_null(account_id) as account_id,
        requested_at,
        ingested_at
    from raw.erasure_requests
),

judged as (
    select
        s.request_id,
        s.account_id,
        s.requested_at,
        s.ingested_at,
        case
            when s.request_id is null or s.account_id is null or s.requested_at is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, s.requested_at, s.ingested_at) then 'out_of_range'
            when s.requested_at > s.ingested_at then 'future_erasure'
            when c.account_id is null then 'orphan_erasure'
        end as broken
    from source as s
    left join staging.customers as c on s.account_id = c.account_id
),

-- A copy is judged among the rows that break no other rule, which sort first.
ranked as (
    select
        request_id,
        account_id,
        requested_at,
        broken,
        row_number() over (
            partition by request_id
            order by broken is not null, ingested_at, account_id, requested_at
        ) as copy
    from judged
)

select
    request_id,
    account_id,
    requested_at,
    case
        when broken is not null then broken
        when copy > 1 then 'duplicate_erasure'
    end as rule
from ranked
