"""XSLT 1.0 by examples: what a stylesheet makes of a document, instruction by instruction."""

from __future__ import annotations

from dataclasses import dataclass, field

from layers.xslt_sheets import BARE, EXSLT, IDENTITY, ITEMS, TEXT, XSL, root, stylesheet


@dataclass(frozen=True)
class Case:
    """Top-level elements of a stylesheet, a document, and what becomes of it."""

    sheet: str
    document: str
    expected: str
    media_type: str = "text/xml; charset=UTF-8"
    parameters: dict[str, str] = field(default_factory=dict)
    attributes: str = ""
    """Of the stylesheet's root element."""
    files: dict[str, str] = field(default_factory=dict)
    """Other files of the stylesheet's folder."""
    encoding: str = "utf-8"
    """Of what comes out."""

    @property
    def stylesheet(self) -> str:
        """The whole stylesheet."""
        return stylesheet(self.sheet, self.attributes)


PLAIN = "text/plain; charset=UTF-8"
HTML = "text/html; charset=UTF-8"
CASES: dict[str, Case] = {
    "built-in templates": Case(TEXT, "<a>one<b x='no'>two</b><!--no--><?no no?></a>", "onetwo", PLAIN),
    "identity with an exception": Case(
        BARE + IDENTITY + '<xsl:template match="b"/>', "<a x='1'>t<b/><c/></a>", '<a x="1">t<c/></a>'
    ),
    "modes": Case(
        TEXT
        + root('<xsl:apply-templates select="//item" mode="m"/>/<xsl:apply-templates select="//item"/>')
        + '<xsl:template match="item" mode="m">[<xsl:value-of select="@n"/>]</xsl:template>'
        + '<xsl:template match="item">(<xsl:value-of select="@n"/>)</xsl:template>',
        ITEMS,
        "[2][10][1]/(2)(10)(1)",
        PLAIN,
    ),
    "priorities": Case(
        TEXT
        + '<xsl:template match="*">any<xsl:apply-templates select="*"/></xsl:template>'
        + '<xsl:template match="b">b</xsl:template>'
        '<xsl:template match="b[@x]" priority="2">bx</xsl:template>',
        "<a><b/><b x='1'/><c/></a>",
        "anybbxany",
        PLAIN,
    ),
    "for-each and sort by number": Case(
        TEXT
        + root(
            '<xsl:for-each select="//item"><xsl:sort select="@n" data-type="number" order="descending"/>'
            '<xsl:value-of select="."/>;</xsl:for-each>'
        ),
        ITEMS,
        "alpha;beta;gamma;",
        PLAIN,
    ),
    "sort by text": Case(
        TEXT + root('<xsl:for-each select="//item"><xsl:sort/><xsl:value-of select="@n"/>;</xsl:for-each>'),
        ITEMS,
        "10;2;1;",
        PLAIN,
    ),
    "sort by two keys": Case(
        TEXT
        + root(
            '<xsl:for-each select="//i"><xsl:sort select="@a"/><xsl:sort select="@b" order="descending"/>'
            '<xsl:value-of select="concat(@a,@b)"/>,</xsl:for-each>'
        ),
        "<l><i a='2' b='1'/><i a='1' b='1'/><i a='1' b='2'/></l>",
        "12,11,21,",
        PLAIN,
    ),
    "choose": Case(
        TEXT
        + root(
            '<xsl:for-each select="//item"><xsl:choose><xsl:when test="@n &gt; 5">many </xsl:when>'
            '<xsl:when test="@n = 2">two </xsl:when><xsl:otherwise>other </xsl:otherwise></xsl:choose>'
            "</xsl:for-each>"
        ),
        ITEMS,
        "two many other ",
        PLAIN,
    ),
    "if": Case(
        TEXT + root('<xsl:if test="//item">some</xsl:if><xsl:if test="//none">none</xsl:if>'),
        ITEMS,
        "some",
        PLAIN,
    ),
    "variables and result tree fragments": Case(
        BARE
        + root(
            '<xsl:variable name="n" select="count(//item)"/>'
            '<xsl:variable name="tree"><b>bold</b></xsl:variable>'
            '<a n="{$n}"><xsl:copy-of select="$tree"/><xsl:value-of select="string-length($tree)"/></a>'
        ),
        ITEMS,
        '<a n="3"><b>bold</b>4</a>',
    ),
    "parameters of a stylesheet": Case(
        TEXT
        + '<xsl:param name="who" select="\'nobody\'"/><xsl:param name="other">default</xsl:param>'
        + root('<xsl:value-of select="$who"/>, <xsl:value-of select="$other"/>'),
        "<a/>",
        'it\'s "me" & 1+1, default',
        PLAIN,
        parameters={"who": 'it\'s "me" & 1+1'},
    ),
    "a parameter is no XPath": Case(
        TEXT + '<xsl:param name="who"/>' + root('<xsl:value-of select="$who"/>'),
        "<a>secret</a>",
        "/a | document('/etc/passwd')",
        PLAIN,
        parameters={"who": "/a | document('/etc/passwd')"},
    ),
    "call-template with parameters": Case(
        TEXT
        + root('<xsl:call-template name="times"><xsl:with-param name="n" select="4"/></xsl:call-template>')
        + '<xsl:template name="times"><xsl:param name="n"/>'
        '<xsl:if test="$n &gt; 0">*<xsl:call-template name="times">'
        '<xsl:with-param name="n" select="$n - 1"/></xsl:call-template></xsl:if></xsl:template>',
        "<a/>",
        "****",
        PLAIN,
    ),
    "apply-templates with parameters": Case(
        TEXT
        + root(
            '<xsl:apply-templates select="//item[1]"><xsl:with-param name="p" select="7"/>'
            "</xsl:apply-templates>"
        )
        + '<xsl:template match="item"><xsl:param name="p" select="1"/><xsl:value-of select="@n * $p"/>'
        "</xsl:template>",
        ITEMS,
        "14",
        PLAIN,
    ),
    "keys": Case(
        TEXT
        + '<xsl:key name="by-n" match="item" use="@n"/>'
        + root("<xsl:value-of select=\"key('by-n', '10')\"/>"),
        ITEMS,
        "alpha",
        PLAIN,
    ),
    "grouping by keys": Case(
        TEXT
        + '<xsl:key name="k" match="i" use="@g"/>'
        + root(
            "<xsl:for-each select=\"//i[generate-id() = generate-id(key('k', @g)[1])]\">"
            "<xsl:value-of select=\"concat(@g, count(key('k', @g)), ' ')\"/></xsl:for-each>"
        ),
        "<l><i g='a'/><i g='b'/><i g='a'/></l>",
        "a2 b1 ",
        PLAIN,
    ),
    "number": Case(
        TEXT
        + root(
            '<xsl:for-each select="//item"><xsl:number format="I"/>.<xsl:number format="a"/>'
            '<xsl:number value="position() * 1000" grouping-separator="," grouping-size="3"/>;</xsl:for-each>'
        ),
        ITEMS,
        "I.a1,000;II.b2,000;III.c3,000;",
        PLAIN,
    ),
    "number of several levels": Case(
        TEXT
        + root('<xsl:for-each select="//s/s"><xsl:number level="multiple" format="1.1;"/></xsl:for-each>'),
        "<d><s><s/><s/></s><s><s/></s></d>",
        "1.1;1.2;2.1;",
        PLAIN,
    ),
    "format-number": Case(
        TEXT
        + '<xsl:decimal-format name="de" decimal-separator="," grouping-separator="."/>'
        + root(
            "<xsl:value-of select=\"format-number(1234.5, '#,##0.00')\"/>|"
            "<xsl:value-of select=\"format-number(1234.5, '#.##0,00', 'de')\"/>|"
            "<xsl:value-of select=\"format-number(0.25, '0%')\"/>"
        ),
        "<a/>",
        "1,234.50|1.234,50|25%",
        PLAIN,
    ),
    "import and apply-imports": Case(
        '<xsl:import href="base.xsl"/>'
        + BARE
        + '<xsl:template match="a"><own><xsl:apply-imports/></own></xsl:template>',
        "<a/>",
        "<own><base/></own>",
        files={"base.xsl": stylesheet('<xsl:template match="a"><base/></xsl:template>')},
    ),
    "include from a folder below": Case(
        BARE
        + '<xsl:include href="parts/b.xsl"/><xsl:template match="a"><xsl:apply-templates/></xsl:template>',
        "<a><b/></a>",
        "<included/>",
        files={"parts/b.xsl": stylesheet('<xsl:template match="b"><included/></xsl:template>')},
    ),
    "attribute sets": Case(
        BARE
        + '<xsl:attribute-set name="s"><xsl:attribute name="class">c</xsl:attribute></xsl:attribute-set>'
        + root('<a xsl:use-attribute-sets="s" id="x"/>'),
        "<a/>",
        '<a class="c" id="x"/>',
    ),
    "element, attribute, comment and instruction": Case(
        BARE
        + root(
            '<xsl:element name="{name(*)}-new">'
            '<xsl:attribute name="n"><xsl:value-of select="1 + 1"/></xsl:attribute>'
            "<xsl:comment>c</xsl:comment><xsl:processing-instruction name='p'>i</xsl:processing-instruction>"
            "</xsl:element>"
        ),
        "<a/>",
        '<a-new n="2"><!--c--><?p i?></a-new>',
    ),
    "copy-of": Case(
        BARE + root('<all><xsl:copy-of select="//item[@n &lt; 5]"/></all>'),
        ITEMS,
        '<all><item n="2">beta</item><item n="1">gamma</item></all>',
    ),
    "strip-space and preserve-space": Case(
        BARE + '<xsl:strip-space elements="*"/><xsl:preserve-space elements="p"/>' + IDENTITY,
        "<a> <b> </b><p> </p> </a>",
        "<a><b/><p> </p></a>",
    ),
    "attribute value templates": Case(
        BARE + root('<a href="/{name(*)}?{{}}={count(//item)}"/>'), ITEMS, '<a href="/list?{}=3"/>'
    ),
    "text and white space": Case(BARE + root("<a> <xsl:text> </xsl:text> <b/> </a>"), "<a/>", "<a> <b/></a>"),
    "namespaces": Case(
        BARE + '<xsl:namespace-alias stylesheet-prefix="o" result-prefix="xsl"/>' + root("<o:stylesheet/>"),
        "<a/>",
        f"<o:stylesheet {XSL.replace('xmlns:xsl', 'xmlns:o')}/>",
        attributes='xmlns:o="urn:o"',
    ),
    "functions on strings": Case(
        TEXT
        + root(
            "<xsl:value-of select=\"translate(substring-before('abc-def', '-'), 'abc', 'ABC')\"/>"
            "<xsl:value-of select=\"normalize-space('  x   y ')\"/>"
            "<xsl:value-of select=\"substring('12345', 2, 3)\"/>"
        ),
        "<a/>",
        "ABCx y234",
        PLAIN,
    ),
    "document() of a file beside it": Case(
        TEXT + root("<xsl:value-of select=\"document('data/words.xml')/words/w[2]\"/>"),
        "<a/>",
        "two",
        PLAIN,
        files={"data/words.xml": "<words><w>one</w><w>two</w></words>"},
    ),
    "document() of the stylesheet itself": Case(
        TEXT + root("<xsl:value-of select=\"document('')/*/@version\"/>"), "<a/>", "1.0", PLAIN
    ),
    "message": Case(BARE + root("<xsl:message>for the log</xsl:message><a/>"), "<a/>", "<a/>"),
    "fallback": Case(
        BARE + root("<a><my:x><xsl:fallback>old</xsl:fallback></my:x></a>"),
        "<a/>",
        "<a>old</a>",
        attributes='xmlns:my="urn:my" extension-element-prefixes="my" exclude-result-prefixes="my"',
    ),
    "html by method": Case(
        '<xsl:output method="html" encoding="UTF-8"/>'
        + root("<p><br/>\N{EURO SIGN}<script>a &lt; b</script></p>"),
        "<a/>",
        "<p><br>\N{EURO SIGN}<script>a < b</script></p>\n",
        HTML,
    ),
    "html by its root element": Case(
        root("<html><body><hr/></body></html>"), "<a/>", "<html><body><hr></body></html>\n", HTML
    ),
    "html with a doctype": Case(
        '<xsl:output method="html" doctype-public="-//W3C//DTD HTML 4.01//EN"/>' + root("<html/>"),
        "<a/>",
        '<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01//EN">\n<html></html>\n',
        HTML,
    ),
    "xml with a declaration": Case(
        '<xsl:output method="xml" encoding="UTF-8" standalone="yes"/>' + root("<a/>"),
        "<a/>",
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<a/>\n',
    ),
    "xml indented": Case(
        '<xsl:output indent="yes" omit-xml-declaration="yes"/>' + root("<a><b><c/></b></a>"),
        "<a/>",
        "<a>\n  <b>\n    <c/>\n  </b>\n</a>\n",
    ),
    "cdata sections": Case(
        '<xsl:output omit-xml-declaration="yes" cdata-section-elements="b"/>'
        + root("<a><b>x &lt; y</b></a>"),
        "<a/>",
        "<a><b><![CDATA[x < y]]></b></a>",
    ),
    "another encoding": Case(
        '<xsl:output method="html" encoding="ISO-8859-1"/>' + root("<p>\xe9</p>"),
        "<a/>",
        "<p>\xe9</p>\n",
        "text/html; charset=ISO-8859-1",
        encoding="latin-1",
    ),
    "text in another encoding": Case(
        '<xsl:output method="text" encoding="UTF-16"/>' + root("\N{EURO SIGN}"),
        "<a/>",
        "\N{EURO SIGN}",
        "text/plain; charset=UTF-16",
        encoding="utf-16",
    ),
    "a media type": Case(
        '<xsl:output media-type="application/atom+xml" omit-xml-declaration="yes"/>' + root("<feed/>"),
        "<a/>",
        "<feed/>",
        "application/atom+xml; charset=UTF-8",
    ),
    "output of an imported stylesheet counts less": Case(
        '<xsl:import href="base.xsl"/><xsl:output encoding="US-ASCII"/>' + root("\xe9"),
        "<a/>",
        "&#233;",
        "text/x-base; charset=US-ASCII",
        files={
            "base.xsl": stylesheet('<xsl:output method="text" media-type="text/x-base" encoding="UTF-8"/>')
        },
    ),
    "disable-output-escaping": Case(
        BARE + root('<a><xsl:value-of select="." disable-output-escaping="yes"/></a>'),
        "<a>&lt;br&gt;</a>",
        "<a><br></a>",
    ),
    "exsl:node-set": Case(
        TEXT
        + root(
            '<xsl:variable name="t"><i>1</i><i>2</i></xsl:variable>'
            '<xsl:value-of select="sum(exsl:node-set($t)/i)"/>'
        ),
        "<a/>",
        "3",
        PLAIN,
        attributes=EXSLT,
    ),
    "strings, sets and numbers of EXSLT": Case(
        TEXT
        + root(
            "<xsl:value-of select=\"count(str:tokenize('a,b,c', ','))\"/>"
            '<xsl:value-of select="str:padding(3, \'-\')"/><xsl:value-of select="math:max(//item/@n)"/>'
            '<xsl:value-of select="count(set:distinct(//item))"/>'
        ),
        ITEMS,
        "3---103",
        PLAIN,
        attributes=EXSLT,
    ),
    "functions and dates of EXSLT": Case(
        TEXT + '<func:function name="my:double"><xsl:param name="n"/>'
        '<func:result select="2 * $n"/></func:function>'
        + root('<xsl:value-of select="my:double(21)"/>, <xsl:value-of select="date:year(\'2026-11-22\')"/>'),
        "<a/>",
        "42, 2026",
        PLAIN,
        attributes=EXSLT,
    ),
    "entities that the document declares": Case(
        BARE + IDENTITY, "<!DOCTYPE a [<!ENTITY who 'me'>]><a b='&who;'>&who;</a>", '<a b="me">me</a>'
    ),
}
