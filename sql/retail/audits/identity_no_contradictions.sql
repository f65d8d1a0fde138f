-- Records of one person that cannot be one person's.
select
    c.left_id,
    c.right_id,
    a.person_account
from identity.contradictions as c
inner join identity.matches as a on c.left_id = a.account_id
inner join identity.matches as b on c.right_id = b.account_id
where a.person_account = b.person_account
