-- What one account did on one platform on one day; whether the account is known is judged later.
-- grain: social_date, account_id, platform
-- store: daily
-- day: social_date
-- quarantine: rule
-- accounts: raw.social
-- why: a missing count is unknown, not zero, and stays empty
with
source as (
    select
        trim_to_null(account_id) as account_id,
        nullif(lower(trim(platform)), '') as platform,
        follows,
        mentions,
        engagements,
        ingested_at,
        social_date
    from raw.social
),

judged as (
    select
        account_id,
        platform,
        follows,
        mentions,
        engagements,
        ingested_at,
        social_date,
        case
            when account_id is null or platform is null or social_date is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, ingested_at, social_date) then 'out_of_range'
            when social_date > local_date(ingested_at, $time_zone) then 'future_social'
            when local_date(ingested_at, $time_zone) - social_date > $look_back_days then 'too_late_social'
            when follows < 0 or mentions < 0 or engagements < 0 then 'negative_count'
        end as broken
    from source
),

-- A copy is judged among the rows that break no other rule, which sort first.
ranked as (
    select
        account_id,
        platform,
        follows,
        mentions,
        engagements,
        social_date,
        broken,
        row_number() over (
            partition by social_date, account_id, platform
            order by broken is not null, ingested_at, follows, mentions, engagements
        ) as copy
    from judged
)

select
    account_id,
    platform,
    cast(follows as bigint) as follows,
    cast(mentions as bigint) as mentions,
    cast(engagements as bigint) as engagements,
    social_date,
    case
        when broken is not null then broken
        when copy > 1 then 'duplicate_social'
    end as rule
from ranked
