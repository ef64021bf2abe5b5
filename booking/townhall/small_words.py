"""Words that say nothing about what somebody comes for, however rare the catalogue makes them look.

Closed classes only: articles, pronouns, prepositions, auxiliaries, the verbs of asking, and days, weeks and years.
Words that carry the matter somewhere ("without", "pas") are not among them.
"""

from __future__ import annotations

from booking.townhall.spelling import words_in

_DUTCH = """
de het een en van ik is dat die in te niet zijn op aan met als voor had er maar om hem dan zou of wat mijn men dit zo
door over ze zich bij ook tot je mij uit der daar haar naar heb hoe heeft hebben deze u want nog zal me zij nu ge geen
iets worden wordt word toch al waren veel meer doen moet moeten kan kunnen ben wil willen wou graag hier hij hun onze
ons we wij uw jullie mag waar wie wanneer nodig alstublieft aub gaan ga gaat krijgen krijg hebt
dag dagen week weken maand maanden jaar vandaag morgen gisteren volgende vorige
"""
_FRENCH = """
le la les un une des du de d l et a au aux ce ces cet cette dans en je j il elle on nous vous ils elles mon ma mes ton
ta tes sa ses notre nos votre vos leur leurs me te se ne n qu que qui quoi dont ou où par pour plus sous sur avec est
sont suis ai as avons avez ont être avoir fait faire faut veux veut voudrais vouloir dois doit devoir peux peut pouvoir
comment quand si mais y c s m t aller vais besoin svp
jour jours semaine semaines mois an année aujourd hui demain hier prochain prochaine dernier dernière
"""
_GERMAN = """
der die das den dem des ein eine einen einem einer eines und ist sind bin war ich du er sie es wir ihr mein meine meinen
meinem meiner dein sein seine unser unsere euer mich mir dich dir sich uns in im an am auf aus bei mit nach von vom zu
zum zur für über unter vor durch um bis wie was wer wo wann warum nicht kein keine auch noch nur so als wenn dass ob
oder aber doch will wollen möchte muss müssen kann können darf soll haben habe hat hatte werden wird wurde brauche
braucht bitte hier da
tag tage woche wochen monat monate jahr jahre heute morgen gestern nächste nächsten nächstes nächster letzte letzten
"""
_ENGLISH = """
the a an of to in is it that for on are as with i be this my your his her our their we you he she they me him us them at
by or and from have has had was were am been but not no so if how what when where who which will would can could should
must may do does did need needs want wants like please get got going go there here about into its some any just one s
t m day days week weeks month months year years today tomorrow yesterday next last
"""
SMALL_WORDS = frozenset(words_in(_DUTCH + _FRENCH + _GERMAN + _ENGLISH))

# What Dutch and German put at the end of a sentence and before the verb in the dictionary: "zieht … um" is "umziehen".
PARTICLES = frozenset(
    words_in(
        "um an ab aus auf ein zu vor mit nach weg zurück fest her hin af aan op om uit in toe mee terug door over bij"
    )
)
