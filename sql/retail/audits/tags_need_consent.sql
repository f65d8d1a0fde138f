-- Customers with a marketing tag though they have not consented to marketing.
select
    t.customer_id
from tags.rhythm as t
inner join tags.interests as i on t.customer_id = i.customer_id
inner join features.customers as f on t.customer_id = f.customer_id
where
    f.marketing_consent is not true
    and (
        t.novelty_seeker is not null
        or i.discount_seeker is not null
        or i.favourite_category is not null
    )
