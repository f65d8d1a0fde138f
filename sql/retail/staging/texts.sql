-- One row per review or service dialogue; whether its account and product are known is judged later.
-- grain: written_date, text_id
-- store: daily
-- day: written_date
-- quarantine: rule
-- accounts: raw.texts
-- why: a rating that cannot be is emptied and flagged, the text stays
with
source as (
    select
        text_id,
        lower(trim(kind)) as kind,
        trim_to_null(account_id) as account_id,
        product_id,
        rating,
        rating is not null and rating not between 1 and 5 as invalid_rating,
        trim_to_null(body) as body,
        written_at,
        ingested_at,
        written_date
    from raw.texts
),

judged as (
    select
        text_id,
        kind,
        account_id,
        product_id,
        rating,
        invalid_rating,
        body,
        written_at,
        ingested_at,
        written_date,
        case
            when text_id is null or account_id is null or written_at is null then 'missing_key'
            when written_at > ingested_at then 'future_text'
            when cast(ingested_at as bigint) - cast(written_at as bigint) > $look_back_days * 86400000000
                then 'too_late_text'
            when written_date is distinct from local_date(written_at, $time_zone) then 'wrong_day'
            when kind is null or kind not in ('review', 'service') then 'unknown_kind'
            when body is null then 'empty_text'
        end as broken
    from source
),

-- A copy is judged among the rows that break no other rule, which sort first.
ranked as (
    select
        text_id,
        kind,
        account_id,
        product_id,
        rating,
        invalid_rating,
        body,
        written_at,
        written_date,
        broken,
        row_number() over (
            partition by written_date, text_id
            order by broken is not null, ingested_at, kind, account_id, product_id, rating, written_at, body
        ) as copy
    from judged
)

select
    text_id,
    kind,
    account_id,
    product_id,
    cast(case when not invalid_rating then rating end as int) as rating,
    invalid_rating,
    body,
    written_at,
    written_date,
    case
        when broken is not null then broken
        when copy > 1 then 'duplicate_text'
    end as rule
from ranked
