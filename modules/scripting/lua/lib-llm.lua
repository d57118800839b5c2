-- What scripts of the LLM module may use (spec modules/02 §3, §6.3). The functions are looked up when they are called,
-- so that a script can put others in their places.

local lib = require("lib-genvm")

local M = {rs = __llm, providers = __llm.providers, templates = __llm.templates}

-- HTTP statuses that say: later, or elsewhere.
M.overloaded_statuses = {[408] = true, [429] = true, [503] = true, [504] = true, [529] = true}

-- views ------------------------------------------------------------------------------------------------------------

local function view(name, level, fits)
  local result = {}
  for provider, config in pairs(M.providers) do
    local models = {}
    for model, settings in pairs(config.models) do
      if fits(settings) then models[model] = settings end
    end
    if next(models) ~= nil then result[provider] = {models = models} end
  end
  if next(result) == nil then
    lib.log {level = level, message = "no backend has a model for this", view = name}
  end
  return result
end

M.providers_with_json_support = view("json", "error", function(model) return model.supports_json end)
M.providers_with_image_support = view("image", "warning", function(model) return model.supports_image end)
M.providers_with_image_and_json_support = view("image and json", "warning", function(model)
  return model.supports_image and model.supports_json
end)

function M.select_providers_for(prompt, format)
  local images = prompt.images ~= nil and next(prompt.images) ~= nil
  if format == "json" or format == "bool" then
    return images and M.providers_with_image_and_json_support or M.providers_with_json_support
  end
  return images and M.providers_with_image_support or M.providers
end

-- for provider, model in llm.in_order(view): in the order of the configuration; `model` is {key = …, value = …} of the
-- first model of the provider in this view.
function M.in_order(providers)
  return coroutine.wrap(function()
    for _, entry in ipairs(M.rs.order or {}) do
      local provider, names = entry[1], entry[2]
      local config = providers[provider]
      for _, name in ipairs(config and names or {}) do
        local settings = config.models[name]
        if settings ~= nil then
          coroutine.yield(provider, {key = name, value = settings})
          break
        end
      end
    end
  end)
end

-- prompts ----------------------------------------------------------------------------------------------------------

-- {prompt, format} for what a contract asked (§3.1).
function M.exec_prompt_transform(args)
  local prompt = {user_message = args.prompt, temperature = 0.7, max_tokens = 1000, images = args.images}
  local format = args.response_format or "text"
  if format == "json" then
    prompt.system_message = "Answer with one valid JSON object and nothing else: no explanations, no code fences."
  end
  return {prompt = prompt, format = format}
end

local configured = {
  EqComparative = {"eq_comparative", "bool"},
  EqNonComparativeLeader = {"eq_non_comparative_leader", "text"},
  EqNonComparativeValidator = {"eq_non_comparative_validator", "bool"},
}

-- {prompt, format} for one of the three templates (§3.2). A value that looks like a variable stays what it is.
function M.exec_prompt_template_transform(args)
  local known = configured[args.template]
  if known == nil then error("unknown template `" .. tostring(args.template) .. "`") end
  local template = M.templates[known[1]]
  local user = string.gsub(template.user, "#{([%w_]*)}", function(name)
    local value = name ~= "template" and args[name]
    return value and tostring(value) or nil
  end)
  local prompt = {system_message = template.system, user_message = user, temperature = 0.7, max_tokens = 1000}
  return {prompt = prompt, format = known[2]}
end

return M
