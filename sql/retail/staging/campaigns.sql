-- One row per campaign.
-- grain: campaign_id
-- store: table
-- quarantine: rule
-- accounts: raw.campaigns
with
source as (
    select
        trim_to_null(campaign_id) as campaign_id,
        trim_to_null(name) as name,
        lower(trim(channel)) as channel,
        lower(trim(goal)) as goal,
        starts_on,
        ends_on,
        ingested_at,
        out_of_range($earliest_date, $latest_date, starts_on, ends_on, ingested_at) as out_of_range
    from raw.campaigns
),

-- The version known last sorts first.
ranked as (
    select
        campaign_id,
        name,
        channel,
        goal,
        starts_on,
        ends_on,
        out_of_range,
        row_number() over (
            partition by campaign_id
            order by out_of_range, ingested_at desc nulls last, name, channel, goal, starts_on, ends_on
        ) as version
    from source
)

select
    campaign_id,
    name,
    channel,
    goal,
    starts_on,
    ends_on,
    case
        when campaign_id is null or starts_on is null then 'missing_key'
        when out_of_range then 'out_of_range'
        when version > 1 then 'superseded_campaign'
        when ends_on < starts_on then 'ends_before_start'
    end as rule
from ranked
