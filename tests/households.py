"""Writes customer records of households: ordinary ones, whose members have one or two records, and those that are hard.

households.py OUT.parquet

An account is named KIND-HOUSEHOLD-PERSON-RECORD. Kinds: `o` ordinary; `t` a brother and a sister, twins; `s` twins of one
gender; `c` a couple of the birth date that a form suggests; `d` two records of one person, of other contacts; `g`, `n` and
`b` twins of whom one record lacks the gender, the given name, or both.
"""

import sys

import duckdb

DEFAULT = "1990-01-01"
SURNAMES = """wang li zhang liu chen yang huang zhao wu zhou xu sun ma zhu hu guo he gao lin luo zheng liang xie song tang
deng han feng cao peng zeng xiao tian dong pan yuan cai jiang yu du ye cheng wei su lu ding ren yao lu jiang""".split()
GIVEN = {
    "f": """xiulan guiying yuzhen lihua meiling jing yan fang na qiong ting hongmei xiaoyan shuhui dandan yue
    lanying chunhua rui yingying bing xia qian min suzhen hui""".split(),
    "m": """jianguo weiming haitao zhiqiang bo guoqiang yong peng kai dawei jun feilong xudong chao tao songlin
    gang wenbin lei hongbo yuhang zhenhua dongsheng liang hao guanghui""".split(),
}

state = 20250101


def below(most):
    """A whole number under `most`, the same in every run."""
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return (state >> 33) % most


def one_of(values):
    return values[below(len(values))]


def phone():
    return f"13{below(10)}{below(10**8):08d}"


def birth_date(first=1950, last=2005):
    return f"{first + below(last - first)}-{1 + below(12):02d}-{1 + below(28):02d}"


def address():
    return f"浙江省杭州市西湖区{one_of('文山秋湖龙石金学天曙')}{one_of('一二三溪江河林园')}路{1 + below(900)}号{1 + below(30)}幢{1 + below(20)}0{1 + below(9)}室"


def email(name):
    return f"{name.split()[1]}{below(10**6)}@{one_of(['qq.com', '163.com', 'example.com'])}"


def mistyped(name):
    """The name with two letters of the given name swapped, or with one twice if it is short."""
    surname, given = name.split()
    if len(given) < 5:
        return f"{name}{given[-1]}"
    at = 1 + below(len(given) - 2)
    return f"{surname} {given[:at]}{given[at + 1]}{given[at]}{given[at + 2 :]}"


records = []


def record(account, name, birth, gender, street, contact, mail):
    records.append((account, name, mail, contact, birth, gender, street))


def person(key, surname, gender, birth, street, contact, copies):
    """The records of one person, who sometimes mistypes the name, moves on to another phone or mailbox, or leaves things out."""
    name = f"{surname} {one_of(GIVEN[gender])}"
    mail = email(name)
    for copy in range(copies):
        slip = below(100) if copy else 99
        record(
            f"{key}-{copy + 1}",
            mistyped(name) if slip < 12 else name,
            birth_date() if 12 <= slip < 15 else None if below(12) == 0 else birth,
            {"f": "m", "m": "f"}[gender] if 15 <= slip < 17 else None if below(15) == 0 else gender,
            address() if below(8) == 0 else street,
            phone() if below(5) == 0 else contact,
            None if below(4) == 0 else email(name) if below(4) == 0 else mail,
        )
    return name


for house in range(330):
    street, contact, surname = address(), phone(), one_of(SURNAMES)
    for member in range(1 + below(3)):
        gender = "fm"[below(2)]
        own = surname if member != 1 else one_of(SURNAMES)
        birth = DEFAULT if below(40) == 0 else birth_date()
        person(f"o-{house}-{member}", own, gender, birth, street, contact if below(3) else phone(), 1 + (below(5) < 2))


def two(kind, house, genders, birth, surnames, second=lambda name, gender: (name, gender)):
    """Two people of one address, phone and birth date, one record each; `second` is what the second record says."""
    street, contact = address(), phone()
    given = []
    for member, gender in enumerate(genders):
        name = one_of([name for name in GIVEN[gender] if name not in given])
        given.append(name)
        full, said = f"{surnames[member]} {name}", gender
        if member:
            full, said = second(full, gender)
        mail = email(f"{surnames[member]} {name}") if below(2) else None
        record(f"{kind}-{house}-{member}-1", full, birth, said, street, contact, mail)


for house in range(24):
    two("t", house, "fm", birth_date(), [one_of(SURNAMES)] * 2)
for house in range(12):
    two("s", house, one_of(["ff", "mm"]), birth_date(), [one_of(SURNAMES)] * 2)
for house in range(10):
    two("c", house, "fm", DEFAULT, [one_of(SURNAMES), one_of(SURNAMES)])
for house in range(6):
    two("g", house, "fm", birth_date(), [one_of(SURNAMES)] * 2, lambda name, gender: (name, None))
    two("n", house, "fm", birth_date(), [one_of(SURNAMES)] * 2, lambda name, gender: (name.split()[0], gender))
    two("b", house, "fm", birth_date(), [one_of(SURNAMES)] * 2, lambda name, gender: (name.split()[0], None))
for house in range(10):
    gender, street, birth = "fm"[below(2)], address(), birth_date()
    name = f"{one_of(SURNAMES)} {one_of(GIVEN[gender])}"
    for copy in range(2):
        record(f"d-{house}-0-{copy + 1}", name, birth, gender, street, phone(), email(name))

columns = ["account_id", "full_name", "email", "phone", "birth_date", "gender", "address"]
duckdb.execute(f"create table given ({', '.join(f'{column} varchar' for column in columns)})")
duckdb.executemany("insert into given values (?, ?, ?, ?, ?, ?, ?)", records)
duckdb.sql(f"""copy (
    select account_id, 'web' as system, full_name, email, phone, birth_date, cast(null as int) as age, gender, address,
        cast(null as varchar) as city, cast(null as varchar) as region, timestamp '2024-12-01 00:00:00' as registered_at,
        timestamp '2024-12-01 00:00:00' as updated_at, timestamp '2024-12-01 00:00:00' as ingested_at
    from given order by account_id
) to '{sys.argv[1]}' (format parquet)""")
