-- The policy of the web service. Change it, or name a script of your own in `lua_script_path`.
--
-- Two functions must be there; what they may use is in lib-genvm and lib-web. Errors that are raised with
-- lib.rs.user_error go to the contract, unless they are fatal; all others end its execution.

local lib = require("lib-genvm")
local web = require("lib-web")

-- A page that has arrived: 2xx, or 304 (not modified).
local function is_good(status)
  return status ~= nil and (status >= 200 and status < 300 or status == 304)
end

-- payload: {mode = "text" | "html" | "screenshot", url, wait_after_loaded = seconds}
-- returns: {text = ...}, or {image = ...} for a screenshot
function Render(ctx, payload)
  web.check_url(payload.url)

  local answer = lib.rs.request(ctx, {
    method = "GET",
    url = web.rs.config.webdriver_host
      .. "/render?url=" .. lib.rs.url_encode(payload.url)
      .. "&mode=" .. payload.mode
      .. "&waitAfterLoaded=" .. string.format("%.3f", payload.wait_after_loaded or 0),
    headers = {},
    error_on_status = true,
  })

  -- Our own rendering service says so if the page, or what it redirected to, is at no public address.
  if answer.headers["resulting-cause"] == "forbidden" then
    lib.rs.user_error({
      causes = { "ADDRESS_FORBIDDEN" },
      fatal = false,
      ctx = { url = payload.url, rust_error = answer.body },
    })
  end

  local status = tonumber(answer.headers["resulting-status"])
  if not is_good(status) then
    lib.rs.user_error({
      causes = { "WEBPAGE_LOAD_FAILED" },
      fatal = false,
      ctx = { url = payload.url, status = status, body = answer.body },
    })
  end

  if payload.mode == "screenshot" then
    return { image = answer.body }
  end
  return { text = answer.body }
end

-- payload: {method, url, headers, body, sign}
-- returns: {status, headers, body}; any status is an answer like another
function Request(ctx, payload)
  web.check_url(payload.url)

  local ok, answer = pcall(lib.rs.request, ctx, {
    method = payload.method,
    url = payload.url,
    headers = payload.headers,
    body = payload.body,
    sign = payload.sign,
  })
  if ok then
    return answer
  end
  -- The contract hears what went wrong, and goes on.
  lib.reraise_with_fatality(answer, false)
end
