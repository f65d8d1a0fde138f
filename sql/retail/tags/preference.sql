-- What each customer prefers and over which channel they are reached; for marketing, so NULL for who does not consent to it.
-- grain: customer_id
-- store: table
-- why: `community_responder` compares plain rates of messages sent, as marketers state them, and is NULL as long as
--    there is not enough to tell
with
firsts as (
    select
        customer_id,
        max(value) filter (where dimension = 'category') as favourite_category,
        max(value) filter (where dimension = 'subcategory') as favourite_subcategory,
        max(value) filter (where dimension = 'brand') as favourite_brand,
        max(value) filter (where dimension = 'price band') as favourite_price_band,
        max(value) filter (where dimension = 'content') as favourite_content,
        max(value) filter (where dimension = 'shop channel') as preferred_shop_channel,
        max(value) filter (where dimension = 'message channel' and lift >= $channel_lift) as preferred_channel
    from features.preferences
    where place = 1
    group by customer_id
),

-- Pairs of what was sent and answered in the two channels that the rule compares.
answers as (
    select
        customer_id,
        sum(sent) filter (where channel = 'sms') as sms_sent,
        sum(opened) filter (where channel = 'sms') as sms_opened,
        sum(sent) filter (where channel = 'community') as posts_sent,
        sum(joined) filter (where channel = 'community') as posts_joined
    from features.responses
    group by customer_id
)

select
    c.customer_id,
    case when c.marketing_consent then f.favourite_category end as favourite_category,
    case when c.marketing_consent then f.favourite_subcategory end as favourite_subcategory,
    case when c.marketing_consent then f.favourite_brand end as favourite_brand,
    case when c.marketing_consent then f.favourite_price_band end as favourite_price_band,
    case when c.marketing_consent then f.favourite_content end as favourite_content,
    case when c.marketing_consent then f.preferred_shop_channel end as preferred_shop_channel,
    case when c.marketing_consent then f.preferred_channel end as preferred_channel,
    case
        when c.marketing_consent and r.sms_sent >= $responder_messages and r.posts_sent >= $responder_messages
            then
                cast(r.sms_opened as double) < $responder_sms_opens * r.sms_sent
                and cast(r.posts_joined as double) > $responder_joins * r.posts_sent
    end as community_responder
from features.customers as c
left join firsts as f on c.customer_id = f.customer_id
left join answers as r on c.customer_id = r.customer_id
