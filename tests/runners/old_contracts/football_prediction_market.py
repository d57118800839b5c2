# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

from genlayer import *

import json
import typing


class PredictionMarket(gl.Contract):
    has_resolved: bool
    team1: str
    team2: str
    resolution_url: str
    winner: u256
    score: str

    def __init__(self, game_date: str, team1: str, team2: str):
        self.has_resolved = False
        self.resolution_url = "https://www.bbc.com/sport/football/scores-fixtures/" + game_date
        self.team1 = team1
        self.team2 = team2
        self.winner = u256(0)
        self.score = ""

    @gl.public.write
    def resolve(self) -> typing.Any:
        if self.has_resolved:
            return "Already resolved"

        market_resolution_url = self.resolution_url
        team1 = self.team1
        team2 = self.team2

        def get_match_result() -> typing.Any:
            web_data = gl.get_webpage(market_resolution_url, mode="text")
            print(web_data)
            task = f"""
In the following web page, find the winning team in a matchup between the following teams:
Team 1: {team1}
Team 2: {team2}

Web page content:
{web_data}
End of web page data.

Respond with the following JSON format:
{{
    "score": str, // e.g., "1:2" or "-" if unresolved
    "winner": int, // 1, 2, or 0 for a draw, -1 if it is not finished
}}
"""
            result = gl.exec_prompt(task).replace("```json", "").replace("```", "")
            print(result)
            return json.loads(result)

        result_json = gl.eq_principle_strict_eq(get_match_result)

        if result_json["winner"] > -1:
            self.has_resolved = True
            self.winner = result_json["winner"]
            self.score = result_json["score"]
        return result_json

    @gl.public.view
    def get_resolution_data(self) -> dict[str, typing.Any]:
        return {"winner": self.winner, "score": self.score, "has_resolved": self.has_resolved}
