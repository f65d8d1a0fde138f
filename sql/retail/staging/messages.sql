-- One row per message of a campaign, or per account held out of it; whether the account is known is judged later.
-- grain: sent_date, message_id
-- store: daily
-- day: sent_date
-- quarantine: rule
-- accounts: raw.messages
-- why: an outcome before its cause is emptied and flagged, the message stays
with
-- Rows of each day, and all rows of keys that lie on several days, which say which of these counts.
deliveries as (
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
        ingested_at,
        sent_date,
        sent_date as for_day,
        false as again
    from raw.messages
    union all
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
        ingested_at,
        sent_date,
        for_day,
        true as again
    from redelivered.messages
),

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
            or coalesce(joined_at < sent_at, false)
            or out_of_range($earliest_date, $latest_date, opened_at, clicked_at, joined_at) as invalid_outcome,
        ingested_at,
        coalesce(ingested_at, sent_at) as known_at,
        sent_date,
        for_day,
        again
    from deliveries
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
        for_day,
        again,
        known_at,
        case
            when message_id is null or campaign_id is null or account_id is null or sent_at is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, sent_at, ingested_at, sent_date) then 'out_of_range'
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
                broken is not null, known_at, campaign_id, account_id, channel, arm, sent_at, opened_at, clicked_at,
                joined_at
        ) as copy
    from judged
    where not again
),

-- Per key the day under which it was delivered last, of two at once the later day.
last_days as (
    select
        for_day,
        message_id,
        sent_date,
        row_number() over (
            partition by for_day, message_id order by max(known_at) desc, sent_date desc
        ) as place
    from judged
    where again and broken is null
    group by for_day, message_id, sent_date
)

select
    r.message_id,
    r.campaign_id,
    r.account_id,
    r.channel,
    r.arm = 'treatment' as treated,
    r.sent_at,
    case when not r.invalid_outcome then r.opened_at end as opened_at,
    case when not r.invalid_outcome then r.clicked_at end as clicked_at,
    case when not r.invalid_outcome then r.joined_at end as joined_at,
    r.invalid_outcome,
    r.sent_date,
    case
        when r.broken is not null then r.broken
        when r.copy > 1 then 'duplicate_message'
        when l.sent_date <> r.sent_date then 'superseded_message'
    end as rule
from ranked as r
left join last_days as l on r.sent_date = l.for_day and r.message_id = l.message_id and l.place = 1
