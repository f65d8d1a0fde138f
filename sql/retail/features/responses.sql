-- What each customer was sent before `as_of`, by channel and goal of the campaign, and what they opened and joined.
-- grain: customer_id, channel, goal
-- store: table
-- quarantine: rule
-- weight: messages
-- why: who is held out of a campaign (arm `control`) was sent nothing, which `messages` counts and `sent` does not; weights count
--    a message of `preference_half_life_days` ago as a half; a rejected row sums what was sent to accounts that nobody knows
with
known as (
    select
        p.customer_id,
        m.channel,
        c.goal,
        m.treated,
        m.opened_at < $as_of as opened,
        m.joined_at < $as_of as joined,
        m.sent_date,
        power(
            0.5, cast(local_date($as_of, $time_zone) - m.sent_date as double) / $preference_half_life_days
        ) as weight
    from staging.messages as m
    left join identity.account_person as p on m.account_id = p.account_id
    left join staging.campaigns as c on m.campaign_id = c.campaign_id
    where m.sent_at < $as_of
)

select
    customer_id,
    channel,
    goal,
    count(*) as messages,
    count(*) filter (where treated) as sent,
    count(*) filter (where treated and opened) as opened,
    count(*) filter (where treated and joined) as joined,
    fixed_sum(case when treated then weight end) as sent_weight,
    fixed_sum(case when treated and opened then weight end) as opened_weight,
    fixed_sum(case when treated and joined then weight end) as joined_weight,
    max(sent_date) filter (where treated and opened) as last_opened_on,
    max(sent_date) filter (where treated and joined) as last_joined_on,
    case when customer_id is null then 'orphan_message' end as rule
from known
group by customer_id, channel, goal
