-- One row per review or service dialogue; whether its account and product are known is judged later.
-- grain: written_date, text_id
-- store: daily
-- day: written_date
-- quarantine: rule
-- accounts: raw.texts
-- why: a rating that cannot be is emptied and flagged, the text stays
with
-- Rows of each day, and all rows of keys that lie on several days, which say which of these counts.
deliveries as (
    select
        text_id,
        kind,
        account_id,
        product_id,
        rating,
        body,
        written_at,
        ingested_at,
        written_date,
        written_date as for_day,
        false as again
    from raw.texts
    union all
    select
        text_id,
        kind,
        account_id,
        product_id,
        rating,
        body,
        written_at,
        ingested_at,
        written_date,
        for_day,
        true as again
    from redelivered.texts
),

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
        coalesce(ingested_at, written_at) as known_at,
        written_date,
        for_day,
        again
    from deliveries
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
        for_day,
        again,
        known_at,
        case
            when text_id is null or account_id is null or written_at is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, written_at, ingested_at, written_date) then 'out_of_range'
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
            order by broken is not null, known_at, kind, account_id, product_id, rating, written_at, body
        ) as copy
    from judged
    where not again
),

-- Per key the day under which it was delivered last, of two at once the later day.
last_days as (
    select
        for_day,
        text_id,
        written_date,
        row_number() over (
            partition by for_day, text_id order by max(known_at) desc, written_date desc
        ) as place
    from judged
    where again and broken is null
    group by for_day, text_id, written_date
)

select
    r.text_id,
    r.kind,
    r.account_id,
    r.product_id,
    cast(case when not r.invalid_rating then r.rating end as int) as rating,
    r.invalid_rating,
    r.body,
    r.written_at,
    r.written_date,
    case
        when r.broken is not null then r.broken
        when r.copy > 1 then 'duplicate_text'
        when l.written_date <> r.written_date then 'superseded_text'
    end as rule
from ranked as r
left join last_days as l on r.written_date = l.for_day and r.text_id = l.text_id and l.place = 1
