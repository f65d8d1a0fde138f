-- What a customer counts of whom a source holds nothing: 0, or NULL where the company lacks the source.
-- store: view
-- why: who never came is something else than a company that does not know who comes
select
    case when not array_has($absent, 'events') then 0 end as activity,
    case when not array_has($absent, 'returns') then 0 end as returns,
    case when not array_has($absent, 'consents') then false end as consent,
    case when not array_has($absent, 'texts') then 0 end as texts,
    (
        select case when count(launched_on) > 0 then 0 end
        from staging.products
        where day_start(launched_on, $time_zone) < $as_of
    ) as launches,
    (select case when count(category) > 0 then 0 end from staging.products) as categories,
    (select case when count(coupon_lines) > 0 then 0 end from features.purchased_products) as coupons
