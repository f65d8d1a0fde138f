-- Providers of e-mail: an address whose domain is one slip of the keyboard away from one of them is taken to be theirs.
-- grain: domain
-- store: view
-- why: providers whose names are so short that others are as near, such as qq.com, are not among them; those that would
--    be taken for a slip of another, such as mail.com, are
select domain
from (
    values
    ('aliyun.com'),
    ('email.com'),
    ('foxmail.com'),
    ('gmail.com'),
    ('hotmail.com'),
    ('icloud.com'),
    ('live.com'),
    ('mail.com'),
    ('outlook.com'),
    ('protonmail.com'),
    ('sina.com'),
    ('sohu.com'),
    ('yahoo.com'),
    ('ymail.com')
) as providers (domain)
