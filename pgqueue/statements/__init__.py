"""The only door to the statement files: finds them, reads them, says in which rounds they run."""

from pgqueue.statements.files import SchemaFile as SchemaFile
from pgqueue.statements.files import folder as folder
from pgqueue.statements.files import head as head
from pgqueue.statements.files import in_schema as in_schema
from pgqueue.statements.files import load as load
from pgqueue.statements.files import load_scripts as load_scripts
from pgqueue.statements.files import schema_files as schema_files
from pgqueue.statements.files import texts as texts
from pgqueue.statements.lua import Script as Script
from pgqueue.statements.sql import Statement as Statement
from pgqueue.statements.sql import Step as Step
from pgqueue.statements.sql import split as split
