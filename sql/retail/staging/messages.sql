-- One row per message of a campaign, or per account held out of it; whether the account is known is judged later.
-- grain: sent_date, message_id
-- store: daily
-- day: sent_date
-- quarantine: rule
-- accounts: raw.messages
-- why: an outcome before its cause is emptied and flagged, the message stays
with
source as (
    select
        message_id,
        trim_to_null(campaign_id) as campaign_id,
        trim_to_null(account_id) as account_id,
        lower(trim(channel)) as channel,
        lower(trim(arm)) as arm,
        sent_at,
        opened_at,
        clicked_at,
        joined_at,
        coalesce(opened_at < sent_at, false)
            or coalesce(clicked_at < sent_at, false)
            or coalesce(joined_at < sent_at, false) as invalid_outcome,
        ingested_at,
        sent_date
    from raw.messages
),

judged as (
    select
        message_id,
        campaign_id,
        account_id,
        channel,
        arm,
        sent_at,
        opened_at,
        clicked_at,
        joined_at,
        invalid_outcome,
        ingested_at,
        sent_date,
        case
            when message_id is null or campaign_id is null or account_id is null or sent_at is null then 'missing_key'
            when sent_at > ingested_at then 'future_message'
            when cast(ingested_at as bigint) - cast(sent_at as bigint) > $look_back_days * 86400000000
                then 'too_late_message'
            when sent_date is distinct from local_date(sent_at, $time_zone) then 'wrong_day'
            when arm is null or arm not in ('treatment', 'control') then 'unknown_arm'
        end as broken
    from source
),

-- A copy is judged among the rows that break no other rule, which sort first.
ranked as (
    select
        message_id,
        campaign_id,
        account_id,
        channel,
        arm,
        sent_at,
        opened_at,
        clicked_at,
        joined_at,
        invalid_outcome,
        sent_date,
        broken,
        row_number() over (
            partition by sent_date, message_id
            order by
                broken is not null, ingested_at, campaign_id, account_id, channel, arm, sent_at, opened_at, clicked_at,
                joined_at
        ) as copy
    from judged
)

select
    message_id,
    campaign_id,
    account_id,
    channel,
    arm = 'treatment' as treated,
    sent_at,
    case when not invalid_outcome then opened_at end as opened_at,
    case when not invalid_outcome then clicked_at end as clicked_at,
    case when not invalid_outcome then joined_at end as joined_at,
    invalid_outcome,
    sent_date,
    case
        when broken is not null then broken
        when copy > 1 then 'duplicate_message'
    end as rule
from ranked
