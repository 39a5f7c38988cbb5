"""The ledger's first tables. History: never edited, later versions alter what it makes."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

LARGEST = 2**53 - 1
TABLES = {
    "entries": """seq INT PRIMARY KEY CHECK (seq >= 0), key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, time TEXT NOT NULL,
        body_hash TEXT NOT NULL, leaf BYTES NOT NULL""",
    "balances": f"""account TEXT NOT NULL, asset TEXT NOT NULL, amount INT NOT NULL, PRIMARY KEY (account, asset),
        CONSTRAINT balance_not_below_zero CHECK (amount >= 0 OR account LIKE 'source/%'),
        CONSTRAINT balance_in_range CHECK (amount BETWEEN -{LARGEST} AND {LARGEST})""",
    "movements": """entry INT NOT NULL REFERENCES entries (seq), leg INT NOT NULL CHECK (leg >= 0), asset TEXT NOT NULL,
        debit TEXT NOT NULL, credit TEXT NOT NULL CHECK (credit <> debit), amount INT NOT NULL CHECK (amount > 0),
        PRIMARY KEY (entry, leg), FOREIGN KEY (debit, asset) REFERENCES balances (account, asset),
        FOREIGN KEY (credit, asset) REFERENCES balances (account, asset)""",
    "tiles": """level INT NOT NULL CHECK (level BETWEEN 0 AND 63), number INT NOT NULL CHECK (number >= 0), hashes BYTES NOT NULL,
        PRIMARY KEY (level, number)""",
    "checkpoints": "size INT PRIMARY KEY CHECK (size > 0), note BYTES NOT NULL",
    "disclosures": "subject TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL, salt BYTES NOT NULL, content BYTES NOT NULL",
    "registry": """origin TEXT PRIMARY KEY NOT NULL, issuer TEXT NOT NULL, country TEXT NOT NULL, market_zone TEXT NOT NULL,
        legal_status TEXT NOT NULL, purpose TEXT NOT NULL, quality_scheme TEXT NOT NULL, configuration TEXT NOT NULL""",
    "assets": "asset TEXT PRIMARY KEY NOT NULL, unit TEXT NOT NULL",
    "devices": """device TEXT PRIMARY KEY NOT NULL, owner TEXT NOT NULL, carrier TEXT NOT NULL, source TEXT NOT NULL,
        technology TEXT NOT NULL, capacity_w INT NOT NULL CHECK (capacity_w > 0), commissioned TEXT NOT NULL,
        grid_operator TEXT NOT NULL, grid_connection TEXT NOT NULL, support TEXT NOT NULL, private TEXT NOT NULL,
        storage_wh INT NOT NULL CHECK (storage_wh >= 0),
        efficiency_ppm INT NOT NULL CHECK (efficiency_ppm BETWEEN 0 AND 1000000)""",
    "device_quarters": """device TEXT NOT NULL, role TEXT NOT NULL, quarter TEXT NOT NULL,
        entry INT NOT NULL REFERENCES entries (seq), PRIMARY KEY (device, role, quarter)""",
    "issuances": """issuance TEXT PRIMARY KEY NOT NULL, device TEXT NOT NULL REFERENCES devices (device), start TEXT NOT NULL,
        "end" TEXT NOT NULL, wh INT NOT NULL CHECK (wh > 0), from_storage INT NOT NULL CHECK (from_storage IN (0, 1)),
        issued TEXT NOT NULL, expires TEXT NOT NULL, evidence TEXT NOT NULL, dissemination TEXT NOT NULL,
        disclosure INT NOT NULL CHECK (disclosure IN (0, 1)),
        emissions_mg_per_kwh INT NOT NULL CHECK (emissions_mg_per_kwh >= 0), emissions_method TEXT NOT NULL,
        entry INT NOT NULL REFERENCES entries (seq), UNIQUE (device, start)""",
    "certificates": """certificate TEXT PRIMARY KEY NOT NULL, issuance TEXT NOT NULL REFERENCES issuances (issuance),
        lo INT NOT NULL CHECK (lo >= 0), hi INT NOT NULL CHECK (hi > lo), status TEXT NOT NULL, party TEXT NOT NULL,
        beneficiary TEXT NOT NULL, parent TEXT NOT NULL, backing TEXT NOT NULL, chain TEXT NOT NULL,
        entry INT NOT NULL REFERENCES entries (seq)""",
    "chargings": """scr TEXT PRIMARY KEY NOT NULL, device TEXT NOT NULL REFERENCES devices (device), start TEXT NOT NULL,
        "end" TEXT NOT NULL, wh INT NOT NULL CHECK (wh > 0), evidence TEXT NOT NULL, entry INT NOT NULL REFERENCES entries (seq)""",
    "dischargings": """sdr TEXT PRIMARY KEY NOT NULL, device TEXT NOT NULL REFERENCES devices (device), start TEXT NOT NULL,
        "end" TEXT NOT NULL, wh INT NOT NULL CHECK (wh > 0), certified_wh INT NOT NULL CHECK (certified_wh >= 0),
        grey_wh INT NOT NULL CHECK (grey_wh >= 0), unbacked_wh INT NOT NULL CHECK (unbacked_wh >= 0), evidence TEXT NOT NULL,
        entry INT NOT NULL REFERENCES entries (seq), CHECK (wh = certified_wh + grey_wh + unbacked_wh)""",
    "lots": """lot TEXT PRIMARY KEY NOT NULL, device TEXT NOT NULL REFERENCES devices (device), rank INT NOT NULL,
        scr TEXT NOT NULL REFERENCES chargings (scr), start TEXT NOT NULL, asset TEXT NOT NULL CHECK (asset IN ('gc', 'grey')),
        certificate TEXT NOT NULL,
        charged_wh INT NOT NULL CHECK (charged_wh > 0), remaining_wh INT NOT NULL CHECK (remaining_wh BETWEEN 0 AND charged_wh),
        UNIQUE (device, rank), CHECK ((asset = 'gc') = (certificate <> ''))""",
    "allocations": """lot TEXT NOT NULL REFERENCES lots (lot), entry INT NOT NULL REFERENCES entries (seq), scr TEXT NOT NULL,
        sdr TEXT NOT NULL, method TEXT NOT NULL, charge_wh INT NOT NULL CHECK (charge_wh > 0),
        discharge_wh INT NOT NULL CHECK (discharge_wh >= 0), loss_wh INT NOT NULL CHECK (loss_wh >= 0), efficiency_ppm INT NOT NULL,
        cancelled_certificate TEXT NOT NULL, storage_certificate TEXT NOT NULL, PRIMARY KEY (lot, entry),
        CHECK (charge_wh = discharge_wh + loss_wh), CHECK (storage_certificate = '' OR cancelled_certificate <> '')""",
    "efficiencies": """device TEXT NOT NULL REFERENCES devices (device), entry INT NOT NULL REFERENCES entries (seq),
        efficiency_ppm INT NOT NULL, start TEXT NOT NULL, "end" TEXT NOT NULL, method TEXT NOT NULL, evidence TEXT NOT NULL,
        PRIMARY KEY (device, entry)""",
    "consumptions": """consumer TEXT NOT NULL, start TEXT NOT NULL, "end" TEXT NOT NULL, wh INT NOT NULL CHECK (wh >= 0),
        evidence TEXT NOT NULL, entry INT NOT NULL REFERENCES entries (seq), PRIMARY KEY (consumer, start)""",
    "factors": """zone TEXT NOT NULL, start TEXT NOT NULL, "end" TEXT NOT NULL,
        emissions_mg_per_kwh INT NOT NULL CHECK (emissions_mg_per_kwh >= 0),
        residual_mg_per_kwh INT NOT NULL CHECK (residual_mg_per_kwh >= 0),
        carbon_free_ppm INT NOT NULL CHECK (carbon_free_ppm BETWEEN 0 AND 1000000), origin TEXT NOT NULL,
        entry INT NOT NULL REFERENCES entries (seq), PRIMARY KEY (zone, start)""",
    "savings": """community TEXT NOT NULL, start TEXT NOT NULL, "end" TEXT NOT NULL, saved_g INT NOT NULL, baseline TEXT NOT NULL,
        evidence TEXT NOT NULL, entry INT NOT NULL REFERENCES entries (seq), PRIMARY KEY (community, start)""",
    "verifications": """community TEXT NOT NULL, start TEXT NOT NULL, "end" TEXT NOT NULL, messages TEXT NOT NULL,
        verdicts TEXT NOT NULL, accepted INT NOT NULL CHECK (accepted >= 0), rejected INT NOT NULL CHECK (rejected >= 0),
        missing INT NOT NULL CHECK (missing >= 0), entry INT NOT NULL REFERENCES entries (seq),
        PRIMARY KEY (community, start, entry)""",
    "judgements": """device TEXT NOT NULL, start TEXT NOT NULL, "end" TEXT NOT NULL,
        level INT NOT NULL CHECK (level BETWEEN 0 AND 5), outcome TEXT NOT NULL CHECK (outcome IN ('pass', 'hold', 'reject')),
        finding TEXT NOT NULL, evidence TEXT NOT NULL,
        entry INT NOT NULL REFERENCES entries (seq), PRIMARY KEY (device, start, entry)""",
    "endings": """certificate TEXT NOT NULL REFERENCES certificates (certificate), entry INT NOT NULL REFERENCES entries (seq),
        action TEXT NOT NULL, words TEXT NOT NULL, PRIMARY KEY (certificate, entry)""",
}
MUTABLE = {
    "balances": {"amount"},
    "tiles": {"hashes"},
    "devices": {"efficiency_ppm"},
    "certificates": {"status", "party", "beneficiary"},
    "lots": {"remaining_wh"},
    "disclosures": {"salt", "content", "kind", "subject"},
}
DELETABLE = {"disclosures"}
NEXT_STATUS = {
    "held": "active withdrawn expired",
    "active": "active split cancelled claimed withdrawn locked reserved expired cancelled_for_storage",
    "locked": "active claimed withdrawn",
    "reserved": "active claimed withdrawn expired",
}
INDEXES = {
    "certificates": ["issuance", "party", "beneficiary", "entry"],
    "lots": ["device"],
    "issuances": ["start"],
    "allocations": ["cancelled_certificate"],
}
POSTINGS = """CREATE VIEW postings AS
    SELECT entry, leg, asset, debit AS account, -amount AS amount FROM movements
    UNION ALL SELECT entry, leg, asset, credit AS account, amount FROM movements"""


def upgrade() -> None:
    """Tables, indexes, the view of postings, triggers."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table, columns in TABLES.items():
        strict = " STRICT" if sqlite else ""
        whole, blob = ("INTEGER", "BLOB") if sqlite else ("BIGINT", "BYTEA")
        _run(f"CREATE TABLE {table} ({columns.replace(' INT ', f' {whole} ').replace(' BYTES ', f' {blob} ')}){strict}")
    for table, columns_of in INDEXES.items():
        for column in columns_of:
            _run(f"CREATE INDEX {table}_by_{column} ON {table} ({column})")
    _run(POSTINGS)
    (_sqlite_triggers if sqlite else _postgresql_triggers)()


def _run(statement: str) -> None:
    op.get_bind().exec_driver_sql(statement.replace("%", "%%") if op.get_bind().dialect.name == "postgresql" else statement)


def _columns(table: str) -> list[str]:
    quote = op.get_bind().dialect.identifier_preparer.quote
    found = op.get_bind().exec_driver_sql(f"SELECT * FROM {table} WHERE 1 = 0").keys()
    return [quote(column) for column in found if column not in MUTABLE.get(table, set())]


def _key(table: str) -> list[str]:
    found = op.get_bind().exec_driver_sql(f"SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk")
    return [name for (name,) in found]


def _status_allowed() -> str:
    pairs = [
        f"(OLD.status = '{before}' AND NEW.status IN ({', '.join(repr(after) for after in afters.split())}))"
        for before, afters in NEXT_STATUS.items()
    ]
    return " OR ".join(pairs)


def _sqlite_triggers() -> None:
    for table in TABLES:
        if table not in DELETABLE:
            _run(
                f"CREATE TRIGGER {table}_stay BEFORE DELETE ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: nothing is deleted'); END"
            )
            # INSERT OR REPLACE deletes without asking the trigger above, unless a connection asks for it.
            same = " AND ".join(f'"{column}" = NEW."{column}"' for column in _key(table))
            _run(
                f"CREATE TRIGGER {table}_once BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
                f"BEGIN SELECT RAISE(ABORT, 'UNIQUE: {table} is append-only, and has this row'); END"
            )
        changed = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in _columns(table))
        if changed:
            _run(
                f"CREATE TRIGGER {table}_keep BEFORE UPDATE ON {table} WHEN {changed} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: what was written stays'); END"
            )
    _run(
        f"CREATE TRIGGER certificates_status BEFORE UPDATE ON certificates WHEN NOT ({_status_allowed()}) "
        "BEGIN SELECT RAISE(ABORT, 'no such status change'); END"
    )
    _run(
        "CREATE TRIGGER movements_move AFTER INSERT ON movements BEGIN "
        "UPDATE balances SET amount = amount - NEW.amount WHERE account = NEW.debit AND asset = NEW.asset; "
        "UPDATE balances SET amount = amount + NEW.amount WHERE account = NEW.credit AND asset = NEW.asset; END"
    )


def _postgresql_triggers() -> None:
    for table in TABLES:
        changed = " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in _columns(table))
        _function(f"{table}_append_only", f"RAISE EXCEPTION '{table} is append-only';")
        if table not in DELETABLE:
            _run(
                f"CREATE TRIGGER {table}_stay BEFORE DELETE OR TRUNCATE ON {table} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
            )
        if changed:
            _run(
                f"CREATE TRIGGER {table}_keep BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({changed}) "
                f"EXECUTE FUNCTION {table}_append_only()"
            )
    _function("certificates_status", "RAISE EXCEPTION 'no such status change';")
    _run(
        "CREATE TRIGGER certificates_status BEFORE UPDATE ON certificates FOR EACH ROW "
        f"WHEN (NOT ({_status_allowed()})) EXECUTE FUNCTION certificates_status()"
    )
    _function(
        "movements_move",
        "UPDATE balances SET amount = amount - NEW.amount WHERE account = NEW.debit AND asset = NEW.asset; "
        "UPDATE balances SET amount = amount + NEW.amount WHERE account = NEW.credit AND asset = NEW.asset; RETURN NULL;",
    )
    _run("CREATE TRIGGER movements_move AFTER INSERT ON movements FOR EACH ROW EXECUTE FUNCTION movements_move()")


def _function(name: str, body: str) -> None:
    _run(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
