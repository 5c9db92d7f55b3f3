"""The triangles of marching cubes in a cube of 2 x 2 x 2 voxels, for each of its 256 fillings.

In:  the size of voxels (z, y, x).
Out: area of the surface inside the cube of each filling; the cube's corners are voxel centres.
The surface of a binary volume at one half (Lorensen & Cline 1987, topology after Lewiner et al. 2003)
depends on nothing else, so that areas of cubes add up to that of the volume. The table is what scikit-image
0.26 gives for the 256 cubes; a test makes it again where scikit-image is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Corners of triangles in halves of a voxel (z, y, x): the middles of the twelve edges, and that of the cube.
POINTS = {
    "a": (0, 0, 1),
    "b": (0, 1, 0),
    "c": (0, 1, 2),
    "d": (0, 2, 1),
    "e": (1, 0, 0),
    "f": (1, 0, 2),
    "g": (1, 1, 1),
    "h": (1, 2, 0),
    "i": (1, 2, 2),
    "j": (2, 0, 1),
    "k": (2, 1, 0),
    "l": (2, 1, 2),
    "m": (2, 2, 1),
}
# Of filling 0 to 255 (bit 4 z + 2 y + x: voxel z, y, x) three letters a triangle; "-": none.
TRIANGLES = """
- bea fca beccef dhb dhaahe bahafhcdhchf dhchfchef idc dbibeiaciaie idffda bedeidefi cibbih ciaieaihe
afbfhbfih iefhei ekj abjjbk jfkfckaekakc fcjckjcbk hkdkjdebdedj kjhjdhjad hkejekejfefacafacbdbcbdhbhe
hkjhjfdhfcdf idckje acjijcjikdkikdb aedkdedkijikijf fidkfdbkdjfk cebecjijcjikhki ihchjcjacjhk
ebakjhfhjhfi hkjfhjihf jlf ejbjlbfabfbl jlaalc jlelbelcb jlfhbd dfafdlhldlhjejh cdlhldlhjbjhjba
lcdeldhedlej lijidjcfjcjd ejflfjflificdcicdabadabeaef idldjldaj lidldbjlbejb cfbjbfbjhlhjhli
facjleieleih ajlhalihlbah ejlielhei ekffkl abfblfbkl ekakcaklc blcklb lhkhldfdldfbebf klfdkfadfhkd
baedhckchckl cdhkchlck likdkikdecedecf facbidiblklb daeldekledli lidbldklb likhkiecfceb
lgkgfkakfkahchahcggihliggcf lgklegelaialaibgbiihgghkebg lihlhk hmk kemeambhmbma fcamkh bhcmchcmfkfmfke
bdkkdm eakamkadm bakfkakfmcmfmcd dmcmecefcmke hdkdckimkikc imhkhmhkehebabebadcdadcidih ahdhakfkakfmimf
hdbmkieikief mkikcikbc mkiikckeceac kbaikafiakim imkeikfie jemmeh hmbmabmja jfmcmfmchahchae mjfbmfcbfmbh
bdedjedmj djadmj ebadfcfdjmjd jfcdjcmjd jimijcecjcedhde dbhciamaiamj haeahdjfmimf
jgmjhghjbfbjbfdgdffiggimhdg bcecmemjecim acimaijam jgmgembmembiaibiaggfijfggae jfijim mlhlfhjkhjhf
ebhbeafaejfefjlkljlkmhmkehk cmlmchahchakjka ejklhmhlbcbl bjkjbfdfbfdlmld jkelfmamfmad cdlmldjbabjk
mgdgkdedkdecjcecjgglcmlggjk icfcidhdimhihmklkmkljfjlifl ejkdbhfaciml mlikhjdjhjda dbhjkemli imlkfjfkcbck
acfmlijke jgaglaialaibmbibmggkbjkggml limjke lfmfhmfeh hmbbmamlalfa ehahlalcahml bhmlbmcbl feledldmldeb
mlfamfdma mgdmbgbmelemelagallcggcdbag mlcmcd mlifdcdfhehf imlhdbfac agdaigialelalemgmeehgghdimg dbhiml
cgbgibmbibmelemelggfecfggli faclim aeblim mli lmi beamil icmcammaflmf bicibmembmelfle mhlhbldildlb
dialaialemelemh flimilimhihdbdhdbcacbcafcfi icdlmfhfmfhe lmccmd dbmembmelalelac lmfmafmda efldelmdledb
hbmblmbcl healhaclamhl mhbmbalmafla flmhfmefh kmemieljelei aljlaibiaibmkmb faeafcicflifilmjmlmjkekjfej
ljfmikckikcb hdidhbebhkehekjmjkjmlilmhim hkmjilijdadj hkmcdiebaflj cdikmhljf dkmkdecedecjljc
kdbdkmacjljc fljmekemadam kgbgjbfbjbfdldfdlggmdkmgglj kmhjelblelbc lgcgmchcmchakahakggjaljggkm baeljfkmh
jflkmh fjiijm mejembibmbiafai caiamiajm cbemcejmeicm mhjbjhjbfdfbfdi faidiamejemh icdahbhamjma
mgjgijcjijcedecedgghemhggdi fjcjdcjmd acfbedjdedjm jdamdj dbejdemdj jmfmbfbcfbmh
mgjmfgfmchcmchagahheggejfag mhbambjma ejmemh mikiekife bkakiaifaikm kmikicekcaec kmickibkc kmhibdbiefei
dgaghakahakfmfkfmggifdiggmh hkmebaicd icdmhk mdcemcfeckme kgbkagakfmfkfmcgcmmdggdbacg aekmakdam dbkdkm
cgbchghcmfmcmfkgkffeggebhkg acfhkm baehkm mhk ilhhlk kelalelaibiaibh kflfkahakahcich kflfkeichbhc
ildlbdlkb adedlelkeldi cdiafblbfblk kglkigikdedkdecgceefggflicg dchckhclk hdbceaecklkc lkfkdfdafkhd
kglghldlhldfbfdfbggefkeggbh lbclkb keackalkc baflbfkbl kefkfl jeleilehi jalahlhilabh ljfecaceihie
bgcbfgfbjhjbjhlglhhiggicflg ilddlbljbjeb diljdladj fljicdeba cdiflj cldledehdelj
lgcldgdlhjhlhjbgbjjaggacdbg agdgfdldfdlhjhlhjggehaeggjf fljdbh ljebleclb ljalac fljaeb ljf khjhfjhif
jkehabahfifh hicjhcajchjk bgcgecjcecjikijikgghibhggke ifdfkdkbdfjk dgadegedkikdkijgjiifggfaejg
jgajcgcjikijikdgdkkbggbacdg cdiejk khjjhfhdfdcf ejkfachdb jkhdjhajd ejkbhd cfjkcjbck acfejk bajbjk kej
eifehi fabhfbifh icaeiahie icbibh ebdiedfei difdfa aebcdi dic hdcfhcehf cfadbh hdahae hdb ebcecf cfa eba
-
""".split()  # noqa: SIM905


def areas(spacing: Sequence[float]) -> np.ndarray:
    """float64 (256,): area of the surface inside the cube of each filling, in the square of the unit.

    >>> [round(float(areas((1, 1, 1))[code]), 4) for code in (0, 1, 15, 255)]
    [0.0, 0.2165, 1.0, 0.0]
    """
    found = np.zeros(256)
    for code, letters in enumerate(TRIANGLES):
        if letters != "-":
            corners = np.array([POINTS[letter] for letter in letters]) * np.asarray(spacing, float) / 2
            one, two, three = corners.reshape(-1, 3, 3).transpose(1, 0, 2)
            found[code] = np.linalg.norm(np.cross(two - one, three - one), axis=1).sum() / 2
    return found
