-- Records that hang together by links, named by the smallest account id among them.
-- grain: account_id
-- store: table
-- why: names are handed on between neighbours once; after that only the few names that bridges join are looked at
select
    l.account_id,
    coalesce(j.component, l.component) as component
from identity.linked as l
left join identity.joined as j on l.component = j.account_id
