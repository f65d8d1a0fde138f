-- The customers on each list of whom others like them are wanted, once each.
-- grain: list_id, customer_id
-- store: table
-- quarantine: rule
-- accounts: raw.lookalike_seeds
with
source as (
    select
        trim_to_null(list_id) as list_id,
        trim_to_null(customer_id) as customer_id,
        ingested_at,
        out_of_range($earliest_date, $latest_date, ingested_at) as out_of_range
    from raw.lookalike_seeds
),

ranked as (
    select
        list_id,
        customer_id,
        out_of_range,
        row_number() over (
            partition by list_id, customer_id
            order by out_of_range, ingested_at
        ) as version
    from source
)

select
    list_id,
    customer_id,
    case
        when list_id is null or customer_id is null then 'missing_key'
        when out_of_range then 'out_of_range'
        when version > 1 then 'duplicate_seed'
    end as rule
from ranked
