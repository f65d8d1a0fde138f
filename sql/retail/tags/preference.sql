-- What each customer prefers and over which channel they are reached; for marketing, so NULL for who does not consent to it.
-- grain: customer_id
-- store: table
-- tag_favourite_category: dimension level (any) | Favourite category | 偏好品类 | the category with the largest share of lines
--    kept, with decay and drawn to the base, from $preference_evidence lines on | for marketing | needs order_items,
--    categories, consents
-- tag_favourite_subcategory: dimension level (any) | Favourite subcategory | 偏好子品类 | the subcategory with the largest such
--    share, from $preference_evidence lines on | for marketing | needs order_items, categories, consents
-- tag_favourite_brand: dimension level (any) | Favourite brand | 偏好品牌 | the brand with the largest such share, from
--    $preference_evidence lines on | for marketing | needs order_items, products, consents
-- tag_favourite_price_band: dimension level (low, middle, high) | Favourite price band | 偏好价格带 | the price band within
--    categories with the largest such share, from $preference_evidence lines on | for marketing | needs order_items,
--    products, consents
-- tag_favourite_content: dimension level (any) | Favourite content | 偏好内容 | the goal of campaigns whose messages are opened
--    most, from $preference_messages messages on | for marketing | needs messages, campaigns, consents
-- tag_preferred_shop_channel: dimension level (web, app, store) | Preferred shop channel | 偏好购物渠道 | the channel with the
--    largest share of orders, with decay and drawn to the base, from $preference_evidence orders on | for marketing | needs
--    orders, consents
-- tag_preferred_channel: dimension level (sms, email, push, community) | Preferred message channel | 偏好触达渠道 | the channel
--    whose messages are opened most, from $preference_messages messages and $channel_lift times the rate of all on | for
--    marketing | needs messages, consents
-- tag_community_responder: dimension flag | Answers to the community | 社群响应者 | opens under $responder_sms_opens of SMS and
--    joins over $responder_joins of community posts, of $responder_messages or more of each | for marketing | needs
--    messages, consents
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
    case when p.marketing then f.favourite_category end as favourite_category,
    case when p.marketing then f.favourite_subcategory end as favourite_subcategory,
    case when p.marketing then f.favourite_brand end as favourite_brand,
    case when p.marketing then f.favourite_price_band end as favourite_price_band,
    case when p.marketing then f.favourite_content end as favourite_content,
    case when p.marketing then f.preferred_shop_channel end as preferred_shop_channel,
    case when p.marketing then f.preferred_channel end as preferred_channel,
    case
        when p.marketing and r.sms_sent >= $responder_messages and r.posts_sent >= $responder_messages
            then
                cast(r.sms_opened as double) < $responder_sms_opens * r.sms_sent
                and cast(r.posts_joined as double) > $responder_joins * r.posts_sent
    end as community_responder
from features.customers as c
inner join tags.purposes as p on c.customer_id = p.customer_id
left join firsts as f on c.customer_id = f.customer_id
left join answers as r on c.customer_id = r.customer_id
