-- What every script may use (spec modules/02 §6.2). The functions are looked up when they are called, so that a script
-- can put others in their places.

local value2json = require("value2json")

local M = {rs = __dflt}

-- Log a table: its strings `level` and `message` are those of the record.
function M.log(t)
  M.rs.log_json(value2json(t))
end

-- {key = …, value = …} of any member; nil if there is none.
function M.get_first_from_table(t)
  if t == nil then return nil end
  local key, value = next(t)
  if key == nil then return nil end
  return {key = key, value = value}
end

function M.get_first_from_table_assert(t)
  local first = M.get_first_from_table(t)
  assert(first ~= nil, "the table is empty")
  return first
end

-- Raise a caught error again: a structured one fatal or not as told, any other as it is.
function M.reraise_with_fatality(e, fatal)
  local structured = M.rs.as_user_error(e)
  if structured == nil then error(e, 0) end
  structured.fatal = fatal
  M.rs.user_error(structured)
end

return M
