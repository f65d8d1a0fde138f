-- Customers with a marketing tag though they have not consented to marketing.
select
    t.customer_id
from tags.rhythm as t
inner join features.customers as f on t.customer_id = f.customer_id
inner join tags.preference as k on t.customer_id = k.customer_id
inner join tags.price as d on t.customer_id = d.customer_id
where
    f.marketing_consent is not true
    and (
        t.novelty_seeker is not null
        or d.discount_seeker is not null
        or k.favourite_category is not null
        or k.preferred_channel is not null
        or k.community_responder is not null
    )
