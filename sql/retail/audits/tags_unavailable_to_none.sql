-- Tags that customers have although the company lacks what the tag needs: not to know is something else than nothing.
select
    tag,
    reason,
    customers_given
from segments.tag_registry
where status = 'unavailable' and customers_given > 0
