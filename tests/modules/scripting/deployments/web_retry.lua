-- A web policy that asks again when a page or a server took too long.

local lib = require("lib-genvm")
local web = require("lib-web")

local function status_is_good(status)
	if not status then
		return false
	end
	return status >= 200 and status < 300 or status == 304
end

local RETRYABLE = { [408] = true, [502] = true, [503] = true }

local function retrying(ctx, request)
	local result
	for attempt = 1, 3 do
		result = lib.rs.request(ctx, request)
		local status = tonumber(result.headers["resulting-status"]) or result.status
		if not RETRYABLE[status] then
			return result, status
		end
		lib.log({ level = "warning", message = "asking again", attempt = attempt, status = status })
		lib.rs.sleep_seconds(0.001 * attempt)
	end
	return result, tonumber(result.headers["resulting-status"]) or result.status
end

function Render(ctx, payload)
	web.check_url(payload.url)
	local url = web.rs.config.webdriver_host
		.. "/render?url="
		.. lib.rs.url_encode(payload.url)
		.. "&mode="
		.. payload.mode
		.. "&waitAfterLoaded="
		.. tostring(payload.wait_after_loaded or 0)
	local result, status = retrying(ctx, { method = "GET", url = url, headers = {}, error_on_status = true })
	if not status_is_good(status) then
		lib.rs.user_error({
			causes = { "WEBPAGE_LOAD_FAILED" },
			fatal = false,
			ctx = { url = payload.url, status = status, body = result.body },
		})
	end
	if payload.mode == "screenshot" then
		return { image = result.body }
	end
	return { text = result.body }
end

function Request(ctx, payload)
	web.check_url(payload.url)
	local success, result = pcall(retrying, ctx, {
		method = payload.method,
		url = payload.url,
		headers = payload.headers,
		body = payload.body,
		sign = payload.sign,
	})
	if success then
		return result
	end
	lib.reraise_with_fatality(result, false)
end
