"""From verified readings to what everybody owes and is owed: per quarter-hour, in whole Wh and micro-euro, without a database."""
