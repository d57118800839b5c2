-- A policy as validators write them: prompts and images are filtered, so that they look different to each validator; a
-- model is tried again with pauses, then another one, which the host may name; everything is logged.

local lib = require("lib-genvm")
local llm = require("lib-llm")
local inspect = require("inspect")
local value2json = require("value2json")

RETRIES = 2 -- a stray global on purpose
local attempts_by_model = {}

local original_transform = llm.exec_prompt_template_transform
llm.exec_prompt_template_transform = function(args)
	local mapped = original_transform(args)
	mapped.prompt.system_message = mapped.prompt.system_message .. "\nThink twice."
	mapped.prompt.temperature = 0
	return mapped
end

local function filter_text(text)
	return lib.rs.filter_text(text, { "NFKC", "RmZeroWidth", "NormalizeWS" })
end

local function greybox(ctx, prompt)
	prompt.user_message = filter_text(prompt.user_message)
	prompt.extra = { seed = ctx.host_data.seed }
	if prompt.images then
		for i, image in ipairs(prompt.images) do
			prompt.images[i] = lib.rs.filter_image(image, {
				{ Unsharpen = { sigma = 1.0, threshold = 2 } },
				{ GuassianNoise = 0.5 },
				{ JPEG = 0.9 },
			})
		end
	end
end

local function just_in_backend(ctx, mapped, remaining_gen)
	local search_in = llm.select_providers_for(mapped.prompt, mapped.format)
	local fallback = ctx.host_data.custom_fallback or "primary"
	local candidates = {}
	for name, provider in pairs(search_in) do
		local model = lib.get_first_from_table(provider.models)
		if model == nil then
			goto continue
		end
		local config = model.value.meta.config
		if config and config.disabled then
			goto continue
		end
		table.insert(candidates, { provider = name, model = model.key, value = model.value, last = name == fallback })
		::continue::
	end
	table.sort(candidates, function(a, b)
		if a.last ~= b.last then
			return b.last
		end
		return a.provider < b.provider
	end)

	local primary_error
	for _, candidate in ipairs(candidates) do
		mapped.prompt.use_max_completion_tokens = candidate.value.use_max_completion_tokens
		for attempt = 1, RETRIES do
			attempts_by_model[candidate.model] = (attempts_by_model[candidate.model] or 0) + 1
			local request = {
				provider = candidate.provider,
				model = candidate.model,
				prompt = mapped.prompt,
				format = mapped.format,
			}
			lib.log({ level = "trace", message = "calling exec_prompt_in_provider", request = request.model })
			local success, result = pcall(llm.rs.exec_prompt_in_provider, ctx, request)
			if success then
				lib.log({ level = "debug", message = "executed with", type = type(result), res = result })
				result.consumed_gen = attempt
				return result
			end
			local as_user_error = lib.rs.as_user_error(result)
			if as_user_error == nil then
				error(result)
			end
			primary_error = primary_error or as_user_error
			if llm.overloaded_statuses[as_user_error.ctx.status] then
				lib.log({ level = "warning", message = "service is overloaded", error = value2json(as_user_error) })
				lib.rs.sleep_seconds(0.001 * 2 ^ attempt)
			else
				lib.log({ level = "error", message = "provider failed: " .. inspect(as_user_error.causes) })
				break
			end
		end
	end
	lib.rs.user_error({
		causes = { "NO_PROVIDER_FOR_PROMPT" },
		fatal = true,
		message = "nothing answered",
		ctx = { prompt = mapped.prompt, search_in = search_in, primary_error = primary_error and primary_error.ctx },
	})
end

function ExecPrompt(ctx, args, remaining_gen)
	local mapped = llm.exec_prompt_transform(args)
	greybox(ctx, mapped.prompt)
	if mapped.prompt.user_message == "" and next(args.images) == nil then
		lib.rs.user_error({ causes = { "EMPTY_PROMPT" }, fatal = false, ctx = {} })
	end
	return just_in_backend(ctx, mapped, remaining_gen)
end

function ExecPromptTemplate(ctx, args, remaining_gen)
	local mapped = llm.exec_prompt_template_transform(args)
	greybox(ctx, mapped.prompt)
	return just_in_backend(ctx, mapped, remaining_gen)
end

function Attempts(ctx)
	return attempts_by_model
end
