-- Customers with a marketing tag though they have not consented to marketing.
select
    t.customer_id
from tags.customer_tags as t
inner join features.customers as f on t.customer_id = f.customer_id
where
    f.marketing_consent is not true
    and (
        t.novelty_seeker is not null
        or t.discount_seeker is not null
        or t.hesitant is not null
        or t.favourite_category is not null
    )
