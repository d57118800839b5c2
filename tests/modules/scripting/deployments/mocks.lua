-- A script of a test network: answers come from tables in the host data, found by a pattern; what is not there is asked.

local lib = require("lib-genvm")
local llm = require("lib-llm")

local function handle(ctx, mapped)
	local message = mapped.prompt.user_message
	local mocks = ctx.host_data.mock_responses
	if mocks then
		for key, value in pairs(mocks) do
			if string.find(message, key) then
				lib.log({ level = "debug", message = "mocked", key = key })
				if mapped.format == "json" and type(value) == "string" then
					value = lib.rs.json_parse(value)
				end
				return { data = value, consumed_gen = 0 }
			end
		end
		error("no mock for " .. message)
	end
	local first = lib.get_first_from_table_assert(llm.providers)
	local model = lib.get_first_from_table_assert(first.value.models)
	return llm.rs.exec_prompt_in_provider(ctx, {
		provider = first.key,
		model = model.key,
		prompt = mapped.prompt,
		format = mapped.format,
	})
end

function ExecPrompt(ctx, args, remaining_gen)
	args.extra = "x"
	return handle(ctx, llm.exec_prompt_transform(args))
end

function ExecPromptTemplate(ctx, args, remaining_gen)
	local mapped = llm.exec_prompt_template_transform(args)
	args.template = nil -- remaining are the variables
	my_data = args
	for name in pairs(my_data) do
		assert(name ~= "template")
	end
	return handle(ctx, mapped)
end
