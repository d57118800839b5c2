-- What scripts of the web module may use (spec modules/03 §3, §8).

local lib = require("lib-genvm")

local M = {rs = __web}

M.allowed_schemas = {http = true, https = true}

local function refuse(cause, ctx)
  lib.rs.user_error {causes = {cause}, fatal = false, ctx = ctx}
end

-- Raises a structured error, which is not fatal, unless contracts may ask for this URL.
function M.check_url(url)
  local parts = lib.rs.split_url(url)
  if parts == nil then refuse("MALFORMED_URL", {url = url}) end
  if not M.allowed_schemas[parts.schema] then refuse("SCHEMA_FORBIDDEN", {schema = parts.schema, url = url}) end
  for _, host in ipairs(M.rs.config.always_allow_hosts or {}) do
    if host == parts.host then return end
  end
  if parts.port ~= nil and parts.port ~= 80 and parts.port ~= 443 then
    refuse("PORT_FORBIDDEN", {port = parts.port, url = url})
  end
  local tld = string.match(parts.host, "[^.]*$")
  if not M.rs.allowed_tld[tld] then refuse("TLD_FORBIDDEN", {tld = tld, url = url}) end
end

return M
